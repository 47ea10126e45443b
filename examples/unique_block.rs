//! A `Block` has one owner: it can neither be copied nor freed twice, by its type. It is taken apart with `split`, put
//! together with `merge`, and freed when it is dropped.

use ralloc::Block;

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

fn main() {
    let block: Block = Block::new(1000, 24);
    let start = block.as_ptr();
    assert!(start.addr().get().is_multiple_of(24));

    let (left, right) = block.split(300);
    assert_eq!((left.len(), right.len()), (300, 700));
    // `block` is gone: to free it as well would not compile.

    let (middle, end) = right.split(100);
    let (left, end) = left.merge(end).expect_err("they are not neighbours");
    let right = middle.merge(end).expect("they are");
    let whole = left.merge(right).expect("they are");
    assert_eq!((whole.as_ptr(), whole.len()), (start, 1000));

    let larger = whole.realloc(5000, 8).expect("there is memory");
    assert_eq!(larger.len(), 5000);
    println!("{larger:?} has one owner");
    larger.free();
}
