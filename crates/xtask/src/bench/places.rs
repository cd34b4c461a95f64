//! Where things lie, relative to the checkout.

use std::path::{Path, PathBuf};

/// Everything that is installed for measuring, and every run.
pub fn installed() -> PathBuf {
    crate::root().join("target").join("bench")
}

/// The root file system in which RabbitMQ lives.
pub fn rabbitmq_root() -> PathBuf {
    installed().join("rabbitmq")
}

/// One set of jars, as a class path.
pub fn jars(set: &str) -> PathBuf {
    installed().join(set)
}

/// Our own classes.
pub fn classes() -> PathBuf {
    installed().join("java").join("classes")
}

pub fn java() -> PathBuf {
    crate::root().join("crates").join("xtask").join("java")
}

pub fn docs() -> PathBuf {
    crate::root().join("docs")
}

/// A class path of these directories, the first with loose classes.
pub fn class_path(loose: Option<&Path>, set: &str) -> String {
    let jars = jars(set).join("*").display().to_string();
    match loose {
        Some(loose) => format!("{}:{jars}", loose.display()),
        None => jars,
    }
}
