// Random bytes for the standard library of Rust, which asks a DLL for them that old versions of wine do not have. `cargo xtask ports` puts
// this in its place, beside the tests.

#include <windows.h>

/// `RtlGenRandom`.
BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *bytes, SIZE_T length) {
    while (length > 0) {
        ULONG some = length < 0x10000 ? (ULONG)length : 0x10000;
        if (!SystemFunction036(bytes, some)) return FALSE;
        bytes += some;
        length -= some;
    }
    return TRUE;
}
