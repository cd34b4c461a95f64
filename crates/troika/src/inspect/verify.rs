//! Reading everything and checking every checksum, with a bar as long as somebody looks.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use server::offline::Directory;

/// What was found.
#[derive(Default)]
pub struct Checked {
    pub damages: usize,
    /// By the name of a segment.
    pub segments: HashMap<String, Sum>,
}

/// What a segment holds of sound frames.
#[derive(Clone, Copy)]
pub struct Sum {
    pub frames: u64,
    pub messages: u64,
    /// Of the oldest and of the newest frame.
    pub times: Option<(SystemTime, SystemTime)>,
}

/// Tells every damage.
pub fn verify(directory: &Directory) -> Checked {
    let bar = ProgressBar::new(0);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("a template of our own"));
    let mut checked = Checked::default();
    let mut bytes = 0;
    for step in directory.survey().verify() {
        bytes = step.bytes_total;
        bar.set_length(step.bytes_total);
        bar.set_position(step.bytes_done);
        if let Some(damage) = step.damage {
            checked.damages += 1;
            bar.suspend(|| println!("damage: {damage}"));
        }
        let at = |ms: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
        let sum = Sum {
            frames: step.frames,
            messages: step.messages,
            times: step
                .times
                .and_then(|(from, to)| Some((at(from.0)?, at(to.0)?))),
        };
        bar.set_message(step.file.clone());
        checked.segments.insert(step.file, sum);
    }
    bar.finish_and_clear();
    println!("checked {bytes} bytes, damaged places: {}", checked.damages);
    checked
}

/// The damages that are known without reading everything.
pub fn known(directory: &Directory) -> Checked {
    let checkpoints = directory.survey().checkpoints.iter();
    let mut damages = 0;
    for damage in checkpoints.filter_map(|row| row.contents.as_ref().err()) {
        println!("damage: {damage}");
        damages += 1;
    }
    Checked {
        damages,
        ..Checked::default()
    }
}
