//! The sized forms of `operator delete`, which know no more than the others: nothing depends on the size.

/// Operators that are forms of others which have no size between the block and the alignment.
macro_rules! forms_without_size {
    ($($name:ident $symbol:literal = $of:literal;)*) => {$(
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        extern "C" fn $name() {
            core::arch::naked_asm!(instruction!(third_to_second), instruction!(jump $of))
        }
    )*};
}

forms! {
    delete_sized "_ZdlPvm" = "_ZdlPv";
    delete_array_sized "_ZdaPvm" = "_ZdaPv";
}

forms_without_size! {
    delete_sized_aligned "_ZdlPvmSt11align_val_t" = "_ZdlPvSt11align_val_t";
    delete_array_sized_aligned "_ZdaPvmSt11align_val_t" = "_ZdaPvSt11align_val_t";
}
