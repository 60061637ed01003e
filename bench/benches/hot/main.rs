//! Small pieces of the product that run for every message, alone on a thread.
//!
//! `cargo bench --bench hot` takes their time; `cargo bench --bench hot -- --instructions` counts their instructions
//! under valgrind, which comes out the same however busy the machine is.

mod instructions;
mod operations;

use std::process::ExitCode;

use divan::counter::ItemsCount;
use operations::OPERATIONS;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match instructions::asked(&arguments) {
        Some(outcome) => outcome,
        None => {
            divan::main();
            ExitCode::SUCCESS
        }
    }
}

/// Messages a second, each operation being done for a batch of messages.
#[divan::bench(args = OPERATIONS.iter().map(|operation| operation.name), max_time = 2)]
fn hot(bencher: divan::Bencher<'_, '_>, name: &str) {
    let operation = operations::by_name(name).expect("a name of the table");
    let run = (operation.prepare)();
    bencher.counter(ItemsCount::new(operation.messages)).bench_local(run);
}
