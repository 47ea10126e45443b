//! Links to the addresses that the kernel starts a program at.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where we are");
    println!("cargo:rustc-link-arg=-T{folder}/link.ld");
    println!("cargo:rustc-link-arg=--no-eh-frame-hdr");
    println!("cargo:rerun-if-changed=link.ld");
}
