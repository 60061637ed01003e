
pub mod process;
