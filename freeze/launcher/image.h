/* How the pieces lie in the single-file binary. freeze/image_file.py writes this; all numbers are little-endian. */
#include <stdint.h>

#define LOADER "ld-linux-x86-64.so.2"
#define PROGRAM "program"
#define AT_IMAGE 0x434f534dUL /* the entry of the auxiliary vector that tells program.c where its pieces are */

/* The end of glibc's __open_nocancel: mov $openat,%eax; mov %rdi,%rsi; mov $AT_FDCWD,%edi; syscall */
#define OPENS {0xb8, 0x01, 0x01, 0x00, 0x00, 0x48, 0x89, 0xfe, 0xbf, 0x9c, 0xff, 0xff, 0xff, 0x0f, 0x05}

struct piece {
    char name[64];
    uint64_t offset; /* of its zstd frame, from the image's first byte */
    uint64_t packed; /* bytes of the frame */
    uint64_t size;   /* bytes of the piece */
    uint64_t by_place; /* 1: its calls and jumps name places instead of distances, which zstd packs better */
};

struct image_head {
    char magic[8];
    uint64_t count;
    struct piece pieces[];
};

struct image {
    uint64_t count;
    const struct piece *pieces;
    const unsigned char *base;
    void (*unpack)(const struct piece *, unsigned char *);
};
