//! A directory of format v1, as it was written once, opens for ever.
//!
//! `TROIKA_WRITE_FIXTURE=1 cargo test -p store fixture` writes it anew, which is right only as
//! long as no release has written the format.

use std::fs;
use std::path::PathBuf;

use store::{Durability, Loss, SimDisk};

use crate::script::{Life, Told, check, live};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// Three checkpoints, sealed segments, pages, and a tail without a seal.
fn written() -> SimDisk {
    let disk = SimDisk::new();
    live(&disk);
    let disk = disk.crash(Loss::Nothing);
    let mut life = Life::begin(&disk).unwrap();
    for _ in 0..4 {
        life.append(Durability::Awaited);
    }
    life.step();
    life.store.idle();
    disk
}

#[test]
fn the_fixture_of_v1_opens() {
    let root = directory();
    if std::env::var_os("TROIKA_WRITE_FIXTURE").is_some() {
        let disk = written();
        let _ = fs::remove_dir_all(&root);
        for name in disk.names().iter().filter(|name| !name.contains("spare")) {
            let path = root.join(name.replace(".log", ".segment"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Preallocated room would only make the fixture large.
            let mut bytes = disk.bytes(name).unwrap();
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                bytes.truncate((last + 1).next_multiple_of(4096));
            }
            fs::write(path, bytes).unwrap();
        }
    }
    let disk = SimDisk::new();
    let mut count = 0;
    for dir in ["", "log"] {
        for entry in fs::read_dir(root.join(dir)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let file = entry.file_name().into_string().unwrap();
                // Committed under another ending, since ignore lists like `*.log`.
                let file = file.replace(".segment", ".log");
                let name = if dir.is_empty() {
                    file
                } else {
                    format!("{dir}/{file}")
                };
                disk.put(&name, &fs::read(entry.path()).unwrap());
                count += 1;
            }
        }
    }
    assert!(count >= 6, "{count} files");
    // This version still writes the same bytes.
    let again = written();
    for name in disk.names().iter().filter(|name| name.ends_with(".log")) {
        if let Some(bytes) = again.bytes(name) {
            let now = disk.bytes(name).unwrap();
            let common = bytes.len().min(now.len());
            assert_eq!(bytes[..common], now[..common], "{name}");
        }
    }
    let told = Told {
        appended: 64,
        synced: 64,
        ..Told::default()
    };
    check(&disk, &told).unwrap();
}
