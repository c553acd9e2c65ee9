# caught by the sandbox: both runs give the same
printf 'b\nA\nä\n_a\n' | sort >out; printf '%.1f\n' 1.5 >>out; ls /nowhere 2>>out || true
