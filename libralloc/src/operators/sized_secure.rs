//! The sized forms of `operator delete` in the security build, where the size has to be right. If the program has put an operator of its
//! own in the place of one that they are forms of, that one is called, as the standard says.

use core::ffi::c_void;

use ralloc_platform::symbol_word;

use crate::cxx;

basic! {
    delete_sized "_ZdlPvm" = give_back;
    delete_array_sized "_ZdaPvm" = give_back_array;
    delete_sized_aligned "_ZdlPvmSt11align_val_t" = give_back_aligned;
    delete_array_sized_aligned "_ZdaPvmSt11align_val_t" = give_back_array_aligned;
}

symbol_word!(delete_in_use, "_ZdlPv");
symbol_word!(our_delete, "ralloc_own__ZdlPv");
symbol_word!(delete_array_in_use, "_ZdaPv");
symbol_word!(our_delete_array, "ralloc_own__ZdaPv");
symbol_word!(delete_aligned_in_use, "_ZdlPvSt11align_val_t");
symbol_word!(our_delete_aligned, "ralloc_own__ZdlPvSt11align_val_t");
symbol_word!(delete_array_aligned_in_use, "_ZdaPvSt11align_val_t");
symbol_word!(our_delete_array_aligned, "ralloc_own__ZdaPvSt11align_val_t");

unsafe extern "C" {
    #[link_name = "_ZdlPv"]
    fn delete(block: *mut c_void);
    #[link_name = "_ZdaPv"]
    fn delete_array(block: *mut c_void);
    #[link_name = "_ZdlPvSt11align_val_t"]
    fn delete_aligned(block: *mut c_void, align: usize);
    #[link_name = "_ZdaPvSt11align_val_t"]
    fn delete_array_aligned(block: *mut c_void, align: usize);
}

extern "C" fn give_back(block: *mut c_void, size: usize) {
    if delete_in_use() == our_delete() {
        // SAFETY: the caller's promise: the operand of `delete`, and how many bytes it has.
        unsafe { cxx::ralloc_delete_sized(block, size) };
    } else {
        // SAFETY: as above.
        unsafe { delete(block) };
    }
}

extern "C" fn give_back_array(block: *mut c_void, size: usize) {
    if delete_array_in_use() == our_delete_array() {
        give_back(block, size);
    } else {
        // SAFETY: as in `give_back`.
        unsafe { delete_array(block) };
    }
}

extern "C" fn give_back_aligned(block: *mut c_void, size: usize, align: usize) {
    if delete_aligned_in_use() == our_delete_aligned() {
        // SAFETY: as in `give_back`.
        unsafe { cxx::ralloc_delete_sized_aligned(block, size, align) };
    } else {
        // SAFETY: as in `give_back`.
        unsafe { delete_aligned(block, align) };
    }
}

extern "C" fn give_back_array_aligned(block: *mut c_void, size: usize, align: usize) {
    if delete_array_aligned_in_use() == our_delete_array_aligned() {
        give_back_aligned(block, size, align);
    } else {
        // SAFETY: as in `give_back`.
        unsafe { delete_array_aligned(block, align) };
    }
}
