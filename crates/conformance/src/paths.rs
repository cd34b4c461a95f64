//! Where things lie, relative to the checkout.

use std::path::PathBuf;

/// The root of the checkout.
pub fn root() -> PathBuf {
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_dir
        .parent()
        .and_then(|crates| crates.parent())
        .map_or(crate_dir.clone(), PathBuf::from)
}

/// This crate's folder, with the foreign programs.
pub fn crate_dir() -> PathBuf {
    root().join("crates").join("conformance")
}

/// Where everything installed and every run lands.
pub fn installed() -> PathBuf {
    root().join("target").join("conformance")
}

/// The compiled Java scenarios.
pub fn java_classes() -> PathBuf {
    installed().join("java").join("classes")
}

/// The jars of one set of client versions.
pub fn jars(set: &str) -> PathBuf {
    installed().join("lib").join(set)
}

/// The Python packages.
pub fn python_packages() -> PathBuf {
    installed().join("python")
}
