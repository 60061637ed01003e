//! Compiles the protos without a protoc binary (protox), with `bytes::Bytes` for every bytes field so that
//! bodies are slices of the buffer they arrived in.
use std::{env, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "trimaran/message/v1/message.proto",
        "trimaran/queue/v1/queue.proto",
        "trimaran/admin/v1/audit.proto",
        "trimaran/admin/v1/failover.proto",
        "trimaran/admin/v1/run.proto",
        "trimaran/admin/v1/admin.proto",
        "trimaran/replica/v1/by.proto",
        "trimaran/replica/v1/command.proto",
        "trimaran/replica/v1/store.proto",
        "trimaran/replica/v1/peer.proto",
    ];
    let mut set = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&set))?;
    // In Rust the word is free.
    let message = set.file.iter_mut().filter(|file| file.package() == "trimaran.message.v1");
    for field in message.flat_map(|file| &mut file.message_type).flat_map(|message| &mut message.field) {
        if field.name() == "mqmd" {
            field.name = Some("descriptor".into());
        }
    }
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]);
    // A put is handed on often, and most say little in it.
    config.boxed(".trimaran.message.v1.Message.descriptor");
    tonic_prost_build::configure().compile_fds_with_config(set, config)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
