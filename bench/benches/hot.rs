//! Times of small pieces of the product that run for every message. Their instructions, which come out the same however busy
//! the machine is, are counted by `trimaran-bench instructions`: that program is there already, while cargo builds every library
//! again for benchmarks, because they unwind.

#[path = "../src/micro/operations.rs"]
mod operations;

use divan::counter::ItemsCount;
use operations::OPERATIONS;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    divan::main();
}

/// Messages a second, each operation being done for a batch of messages.
#[divan::bench(args = OPERATIONS.iter().map(|operation| operation.name), max_time = 2)]
fn hot(bencher: divan::Bencher<'_, '_>, name: &str) {
    let operation = operations::by_name(name).expect("a name of the table");
    let run = (operation.prepare)();
    bencher.counter(ItemsCount::new(operation.messages)).bench_local(run);
}
