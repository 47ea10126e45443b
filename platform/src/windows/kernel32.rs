//! What is asked of `kernel32`, `advapi32` and the C library, as their headers declare it.

use core::ffi::{c_char, c_int, c_void};

pub(super) const MEM_COMMIT: u32 = 0x1000;
pub(super) const MEM_RESERVE: u32 = 0x2000;
pub(super) const MEM_DECOMMIT: u32 = 0x4000;
pub(super) const MEM_RELEASE: u32 = 0x8000;
pub(super) const PAGE_READWRITE: u32 = 4;
pub(super) const STD_ERROR_HANDLE: u32 = -12_i32 as u32;
/// No slot.
pub(super) const FLS_OUT_OF_INDEXES: u32 = u32::MAX;

/// `SYSTEM_INFO`.
#[repr(C)]
pub(super) struct SystemInfo {
    pub(super) processor: u32,
    pub(super) page_size: u32,
    pub(super) lowest: *mut c_void,
    pub(super) highest: *mut c_void,
    pub(super) processors: usize,
    pub(super) rest: [u32; 4],
}

/// `MEMORY_BASIC_INFORMATION`.
#[repr(C)]
pub(super) struct MemoryBasicInformation {
    pub(super) base: *mut c_void,
    pub(super) allocation_base: *mut c_void,
    pub(super) allocation_rights: u32,
    pub(super) partition: u16,
    pub(super) size: usize,
    pub(super) state: u32,
    pub(super) rights: u32,
    pub(super) kind: u32,
}

/// `PROCESS_MEMORY_COUNTERS`.
#[repr(C)]
pub(super) struct MemoryCounters {
    pub(super) size: u32,
    pub(super) faults: u32,
    pub(super) peak_resident: usize,
    pub(super) resident: usize,
    pub(super) rest: [usize; 6],
}

#[link(name = "kernel32")]
unsafe extern "system" {
    pub(super) fn VirtualAlloc(
        address: *mut c_void,
        size: usize,
        kind: u32,
        rights: u32,
    ) -> *mut c_void;
    pub(super) fn VirtualFree(address: *mut c_void, size: usize, kind: u32) -> c_int;
    pub(super) fn VirtualQuery(
        address: *const c_void,
        info: *mut MemoryBasicInformation,
        size: usize,
    ) -> usize;
    pub(super) fn GetSystemInfo(info: *mut SystemInfo);
    pub(super) fn GetStdHandle(which: u32) -> *mut c_void;
    pub(super) fn WriteFile(
        file: *mut c_void,
        bytes: *const c_void,
        length: u32,
        written: *mut u32,
        overlapped: *mut c_void,
    ) -> c_int;
    pub(super) fn SwitchToThread() -> c_int;
    pub(super) fn GetCurrentProcess() -> *mut c_void;
    pub(super) fn GetEnvironmentVariableA(
        name: *const c_char,
        value: *mut c_char,
        size: u32,
    ) -> u32;
    pub(super) fn GetModuleHandleA(name: *const c_char) -> *mut c_void;
    pub(super) fn GetProcAddress(module: *mut c_void, name: *const c_char) -> *mut c_void;
    pub(super) fn GetLastError() -> u32;
    pub(super) fn SetLastError(code: u32);
    pub(super) fn K32GetProcessMemoryInfo(
        process: *mut c_void,
        counters: *mut MemoryCounters,
        size: u32,
    ) -> c_int;
    pub(super) fn FlsAlloc(callback: unsafe extern "system" fn(*mut c_void)) -> u32;
    pub(super) fn FlsSetValue(slot: u32, value: *const c_void) -> c_int;
}

#[link(name = "advapi32")]
unsafe extern "system" {
    /// `RtlGenRandom`.
    #[link_name = "SystemFunction036"]
    pub(super) fn random_bytes(bytes: *mut c_void, length: u32) -> u8;
}

unsafe extern "C" {
    pub(super) fn _errno() -> *mut c_int;
    pub(super) fn fwrite(
        bytes: *const c_void,
        size: usize,
        count: usize,
        stream: *mut c_void,
    ) -> usize;
}
