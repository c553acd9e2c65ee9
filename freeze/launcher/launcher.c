/* The start of the single-file binary: a program without libraries that brings its own.

   The kernel maps this file, and that is all that is asked of a system: no loader, no C library, no /proc, no /tmp.
   The pieces of the binary (glibc's loader and libraries, Python, compiled modules, the code of all modules) lie
   behind this program in the same file, each a zstd frame (image.h). `launch` unpacks glibc's loader and program.c
   into memory and jumps to the loader, as the kernel does for a program with PT_INTERP.

   The loader opens libraries by their paths. Its one place that does so is changed in memory to jump to `opened_here`
   instead: for the name of a piece it gets a file that exists in memory only (memfd_create), with the piece in it. A
   piece is unpacked when it is opened, so a library that a command does not load costs nothing. */

#include <asm/prctl.h>
#include <elf.h>
#include <linux/memfd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "image.h"

#define PAGE 4096UL
#define AT_FDCWD (-100L)
#define NO_SUCH_FILE (-2L)
#define NO_SUCH_CALL (-38L)
#define EXIT_WORLD_FAILED 5 /* as in cosmos.errors */
#define WORKSPACE_BYTES (192 << 10) /* zstd 1.5 asks for 93 to 160 KiB; `unpack` says if it is too little */

struct start {
    uint64_t entry;
    uint64_t stack;
};

extern const unsigned char image_begin[];
extern const char opened_here[]; /* start.S */
uint64_t after_open;             /* where `opened_here` goes on: behind the loader's own call of the kernel */

static unsigned char workspace[WORKSPACE_BYTES] __attribute__((aligned(64)));
static unsigned char thread[64]; /* until glibc makes its own: zstd looks at %fs:0x28 for its stack's guard */
static volatile int busy;
static struct image image;

/* ---- what a C library would give ---------------------------------------------------------------------------- */

static long ask(long number, long a, long b, long c, long d, long e, long f) {
    long answer;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(answer) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}

void *memcpy(void *to, const void *from, size_t size) {
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memset(void *to, int byte, size_t size) {
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    if (target <= source || target >= source + size)
        return memcpy(to, from, size);
    while (size--)
        target[size] = source[size];
    return to;
}

/* zstd asks for memory only where it was given none. */
void *malloc(size_t size) { (void)size; return NULL; }
void *calloc(size_t count, size_t size) { (void)count; (void)size; return NULL; }
void free(void *memory) { (void)memory; }

/* Decoders of frames from before zstd 0.8, which no piece is: without these, the linker takes in the real ones. */
#define NOT_LINKED(name) \
    void name(void) { __stack_chk_fail(); }
void __stack_chk_fail(void);
NOT_LINKED(ZBUFFv05_createDCtx) NOT_LINKED(ZBUFFv05_decompressContinue) NOT_LINKED(ZBUFFv05_decompressInitDictionary)
NOT_LINKED(ZBUFFv05_freeDCtx) NOT_LINKED(ZSTDv05_createDCtx) NOT_LINKED(ZSTDv05_decompress_usingDict)
NOT_LINKED(ZSTDv05_findFrameSizeInfoLegacy) NOT_LINKED(ZSTDv05_freeDCtx) NOT_LINKED(ZSTDv05_getFrameParams)
NOT_LINKED(ZBUFFv06_createDCtx) NOT_LINKED(ZBUFFv06_decompressContinue) NOT_LINKED(ZBUFFv06_decompressInitDictionary)
NOT_LINKED(ZBUFFv06_freeDCtx) NOT_LINKED(ZSTDv06_createDCtx) NOT_LINKED(ZSTDv06_decompress_usingDict)
NOT_LINKED(ZSTDv06_findFrameSizeInfoLegacy) NOT_LINKED(ZSTDv06_freeDCtx) NOT_LINKED(ZSTDv06_getFrameParams)
NOT_LINKED(ZBUFFv07_createDCtx) NOT_LINKED(ZBUFFv07_decompressContinue) NOT_LINKED(ZBUFFv07_decompressInitDictionary)
NOT_LINKED(ZBUFFv07_freeDCtx) NOT_LINKED(ZSTDv07_createDCtx) NOT_LINKED(ZSTDv07_decompress_usingDict)
NOT_LINKED(ZSTDv07_findFrameSizeInfoLegacy) NOT_LINKED(ZSTDv07_freeDCtx) NOT_LINKED(ZSTDv07_getFrameParams)

static int same(const char *one, const char *other) {
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

static size_t length(const char *text) {
    size_t size = 0;
    while (text[size])
        size++;
    return size;
}

static void say(const char *text) { ask(SYS_write, 2, (long)text, length(text), 0, 0, 0); }

static void fail(const char *what, const char *hint) {
    say("cosmos: error: ");
    say(what);
    say("\ncosmos: hint: ");
    say(hint);
    say("\n");
    ask(SYS_exit_group, EXIT_WORLD_FAILED, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}

void __stack_chk_fail(void) { fail("the file is damaged", "copy it again"); }

static const char *last_part(const char *path) {
    const char *part = path;
    for (; *path; path++)
        if (*path == '/')
            part = path + 1;
    return part;
}

static void fail_for_memory(void) {
    fail("there is too little memory to start", "give it more memory, or raise its limit (ulimit -v)");
}

static unsigned char *memory(uint64_t size) {
    long at = ask(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096)
        fail_for_memory();
    return (unsigned char *)at;
}

/* ---- pieces -------------------------------------------------------------------------------------------------- */

static const struct piece *found(const char *name) {
    for (uint32_t number = 0; number < image.count; number++)
        if (same(image.pieces[number].name, name))
            return &image.pieces[number];
    return NULL;
}

/* Let x86 calls and jumps say how far they lead, as the processor wants it; image_file.py let them say where. */
static void put_right(unsigned char *code, uint64_t size) {
    for (uint64_t at = 0; at + 5 <= size;) {
        if ((code[at] & 0xfe) != 0xe8) {
            at++;
            continue;
        }
        at += 5;
        uint32_t word;
        memcpy(&word, code + at - 4, 4);
        word -= (uint32_t)at;
        memcpy(code + at - 4, &word, 4);
    }
}

/* Unpack a piece; the process ends if the piece is damaged. */
static void unpack(const struct piece *piece, unsigned char *to) {
    while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
        ask(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(workspace, sizeof workspace);
    if (!context || ZSTD_decompressDCtx(context, to, piece->size, image.base + piece->offset, piece->packed) != piece->size)
        fail("the file is damaged", "copy it again");
    if (piece->by_place)
        put_right(to, piece->size);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

static const unsigned char *unpacked(const char *name) {
    const struct piece *piece = found(name);
    if (!piece)
        fail("the file lacks a part", "copy it again");
    unsigned char *to = memory(piece->size);
    unpack(piece, to);
    return to;
}

/* Return a descriptor of a file in memory with the piece in it, or an error number below 0. */
static long file_of(const struct piece *piece) {
    long number = ask(SYS_memfd_create, (long)piece->name, MFD_CLOEXEC, 0, 0, 0, 0);
    if (number == NO_SUCH_CALL)
        fail("this kernel is too old", "Linux 3.17 or newer is needed");
    if (number < 0)
        return number;
    long failed = ask(SYS_ftruncate, number, piece->size, 0, 0, 0, 0);
    long at = failed ? failed
                     : ask(SYS_mmap, 0, piece->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, number, 0);
    if (at < 0 && at > -4096)
        fail_for_memory();
    unpack(piece, (unsigned char *)at);
    ask(SYS_munmap, at, piece->size, 0, 0, 0, 0);
    return number;
}

/* What glibc's loader gets instead of openat(AT_FDCWD, path, flags, mode). */
long open_for_loader(const char *path, long flags, long mode) {
    const struct piece *piece = found(last_part(path));
    if (piece)
        return file_of(piece);
    if (same(path, "/etc/ld.so.cache"))
        return NO_SUCH_FILE; /* it lists the libraries of another glibc */
    return ask(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
}

/* ---- programs in memory -------------------------------------------------------------------------------------- */

/* Map the segments of the ELF file `file`, and return where its address 0 lies. `patch` changes them before they are
   closed to writing. */
static uint64_t mapped(const unsigned char *file, void (*patch)(unsigned char *, uint64_t)) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + header->e_phoff);
    uint64_t end = 0;
    for (int number = 0; number < header->e_phnum; number++)
        if (segments[number].p_type == PT_LOAD && segments[number].p_vaddr + segments[number].p_memsz > end)
            end = segments[number].p_vaddr + segments[number].p_memsz;
    unsigned char *base = memory((end + PAGE - 1) & -PAGE);
    for (int number = 0; number < header->e_phnum; number++) {
        const Elf64_Phdr *one = &segments[number];
        if (one->p_type != PT_LOAD)
            continue;
        memcpy(base + one->p_vaddr, file + one->p_offset, one->p_filesz);
        if (patch && one->p_flags & PF_X)
            patch(base + one->p_vaddr, one->p_filesz);
        int rights = (one->p_flags & PF_R ? PROT_READ : 0) | (one->p_flags & PF_W ? PROT_WRITE : 0) |
                     (one->p_flags & PF_X ? PROT_EXEC : 0);
        uint64_t first = one->p_vaddr & -PAGE;
        uint64_t size = ((one->p_vaddr + one->p_memsz + PAGE - 1) & -PAGE) - first;
        if (ask(SYS_mprotect, (long)base + first, size, rights, 0, 0, 0))
            fail("this system lets no program map code that is not in a file", "allow it: SELinux calls it execmem");
    }
    return (uint64_t)base;
}

/* Let glibc's loader open files by `opened_here`: in `__open_nocancel`, which it opens libraries with. The build has
   checked that these bytes are there once. */
static void patch_open(unsigned char *code, uint64_t size) {
    static const unsigned char opens[] = OPENS;
    for (unsigned char *at = code; at + sizeof opens <= code + size; at++) {
        size_t number = 0;
        while (number < sizeof opens && at[number] == opens[number])
            number++;
        if (number < sizeof opens)
            continue;
        at[0] = 0x48, at[1] = 0xb8; /* movabs $opened_here, %rax */
        uint64_t target = (uint64_t)opened_here;
        memcpy(at + 2, &target, 8);
        at[10] = 0xff, at[11] = 0xe0; /* jmp *%rax */
        after_open = (uint64_t)(at + sizeof opens);
        return;
    }
    fail("the file is damaged", "copy it again");
}

/* Return where to go on, and with which stack: the kernel's, with one more entry in its auxiliary vector. `stack` has
   128 free bytes below it. */
struct start launch(uint64_t *stack) {
    ask(SYS_arch_prctl, ARCH_SET_FS, (long)thread, 0, 0, 0, 0);
    const struct image_head *head = (const struct image_head *)image_begin;
    image = (struct image){head->count, head->pieces, image_begin, unpack};
    uint64_t loader = mapped(unpacked(LOADER), patch_open);
    uint64_t program = mapped(unpacked(PROGRAM), NULL);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)program;

    uint64_t *word = stack + 1 + stack[0] + 1; /* argc, argv, NULL */
    while (*word++)
        ; /* environment, NULL */
    Elf64_auxv_t *row = (Elf64_auxv_t *)word;
    for (; row->a_type != AT_NULL; row++)
        switch (row->a_type) {
        case AT_PHDR: row->a_un.a_val = program + header->e_phoff; break;
        case AT_PHNUM: row->a_un.a_val = header->e_phnum; break;
        case AT_BASE: row->a_un.a_val = loader; break;
        case AT_ENTRY: row->a_un.a_val = program + header->e_entry; break;
        }
    uint64_t *lower = stack - 2;
    memmove(lower, stack, (unsigned char *)row - (unsigned char *)stack);
    row[-1].a_type = AT_IMAGE;
    row[-1].a_un.a_val = (uint64_t)&image;
    return (struct start){loader + ((const Elf64_Ehdr *)loader)->e_entry, (uint64_t)lower};
}
