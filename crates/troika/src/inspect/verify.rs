//! Reading everything and checking every checksum, with a bar as long as somebody looks.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use server::offline::Directory;

/// Tells every damage; returns how many there are.
pub fn verify(directory: &Directory) -> usize {
    let bar = ProgressBar::new(0);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("a template of our own"));
    let mut damages = 0;
    let mut bytes = 0;
    for step in directory.survey().verify() {
        bytes = step.bytes_total;
        bar.set_length(step.bytes_total);
        bar.set_position(step.bytes_done);
        bar.set_message(step.file);
        if let Some(damage) = step.damage {
            damages += 1;
            bar.suspend(|| println!("damage: {damage}"));
        }
    }
    bar.finish_and_clear();
    println!("\nchecked {bytes} bytes, damaged places: {damages}");
    damages
}
