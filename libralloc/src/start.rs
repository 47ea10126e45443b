//! What happens when the library is loaded, and when the process exits.

use crate::Libc;

/// Runs when the library is loaded: by then the C library takes thread keys and fork handlers.
extern "C" fn load() {
    core_ralloc::install::<Libc>();
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
