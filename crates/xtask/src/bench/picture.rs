//! A comparison as a picture: one pair of horizontal bars for each figure, drawn as SVG.
//!
//! Every figure has its own scale, since they have their own units; the longer bar of a pair is as long as all
//! longer bars. Colours follow the reader's light or dark setting.

use std::fmt::Write;

use super::load::Measured;
use super::report::shown;
use super::scenarios::{Compared, Work};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 24.0;
/// Names of brokers stand left of this.
const BARS_LEFT: f64 = 150.0;
/// Values stand right of the longest bar.
const BARS_WIDTH: f64 = 480.0;
const BAR_HEIGHT: f64 = 18.0;
const TITLE_HEIGHT: f64 = 58.0;
/// A caption, two bars and air.
const GROUP_HEIGHT: f64 = 84.0;

const STYLE: &str = "\
.back{fill:#ffffff}.text{fill:#1f2328}.soft{fill:#59636e}.peer{fill:#9aa4af}.troika{fill:#c2410c}\
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px}\
.title{font-size:16px;font-weight:600}.bold{font-weight:600}\
@media (prefers-color-scheme:dark){.back{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9198a1}\
.peer{fill:#59636e}.troika{fill:#fb923c}}";

/// A figure in the picture: caption, and how it is taken.
type Figure = (&'static str, fn(&Measured) -> f64);

const FULL: [Figure; 3] = [
    ("broker CPU, µs per message (less is better)", |m| m.cpu_us),
    ("messages per second (more is better)", |m| m.per_second),
    ("peak memory, MB (less is better)", |m| m.peak_mb),
];
const PACED: [Figure; 3] = [
    ("confirm latency, median, µs (less is better)", |m| {
        m.p50_us
    }),
    ("confirm latency, p99, µs (less is better)", |m| m.p99_us),
    ("broker CPU, µs per message (less is better)", |m| m.cpu_us),
];

pub fn of(one: &Compared) -> String {
    let figures = match one.scenario.work {
        Work::Full(_) => FULL,
        Work::HalfOf(..) => PACED,
    };
    let height = TITLE_HEIGHT + GROUP_HEIGHT * figures.len() as f64;
    let mut svg = String::new();
    let title = escaped(one.scenario.title);
    let mut line = |text: String| {
        svg += &text;
        svg.push('\n');
    };
    let size = format!(r#"width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}""#);
    line(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">"#
    ));
    line(format!("<title>{title}</title><style>{STYLE}</style>"));
    line(format!(
        r#"<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>"#
    ));
    line(format!(
        r#"<text class="text title" x="{MARGIN}" y="36">{title}</text>"#
    ));
    for (at, (caption, figure)) in figures.iter().enumerate() {
        let top = TITLE_HEIGHT + GROUP_HEIGHT * at as f64;
        line(group(
            top,
            caption,
            &one.scenario.peer.name(),
            figure(&one.peer),
            figure(&one.troika),
        ));
    }
    line("</svg>".into());
    svg
}

fn group(top: f64, caption: &str, peer: &str, theirs: f64, ours: f64) -> String {
    let longest = theirs.max(ours).max(f64::MIN_POSITIVE);
    let mut drawn = format!(
        r#"<text class="soft" x="{MARGIN}" y="{:.0}">{}</text>"#,
        top + 12.0,
        escaped(caption)
    );
    for (row, (name, class, value)) in [(peer, "peer", theirs), ("Troika", "troika", ours)]
        .into_iter()
        .enumerate()
    {
        let y = top + 22.0 + (BAR_HEIGHT + 6.0) * row as f64;
        let text_y = y + 13.5;
        let width = if value > 0.0 {
            (value / longest * BARS_WIDTH).max(1.0)
        } else {
            0.0
        };
        let value_x = BARS_LEFT + width + 8.0;
        let bold = if class == "troika" { " bold" } else { "" };
        let _ = write!(
            drawn,
            "\n<text class=\"text{bold}\" x=\"{MARGIN}\" y=\"{text_y}\">{}</text>\
             <rect class=\"{class}\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{BAR_HEIGHT}\" rx=\"3\"/>\
             <text class=\"text{bold}\" x=\"{value_x:.1}\" y=\"{text_y}\">{}</text>",
            escaped(name),
            shown(value)
        );
    }
    drawn
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Subject;
    use crate::bench::scenarios;

    #[test]
    fn the_longer_bar_fills_its_row_and_the_other_is_in_proportion() {
        let scenario = scenarios::of(Subject::Amqp).remove(0);
        let peer = Measured {
            per_second: 100.0,
            cpu_us: 50.0,
            peak_mb: 200.0,
            ..Measured::default()
        };
        let troika = Measured {
            per_second: 400.0,
            cpu_us: 5.0,
            peak_mb: 20.0,
            ..Measured::default()
        };
        let svg = of(&Compared {
            scenario,
            peer,
            troika,
            asked: None,
        });
        let widths: Vec<&str> = svg
            .lines()
            .filter(|line| line.contains("class=\"peer\"") || line.contains("class=\"troika\""))
            .filter_map(|line| {
                line.split("<rect ")
                    .nth(1)?
                    .split("width=\"")
                    .nth(1)?
                    .split('"')
                    .next()
            })
            .collect();
        assert_eq!(widths, ["480.0", "48.0", "120.0", "480.0", "480.0", "48.0"]);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn nothing_measured_draws_no_bar() {
        assert!(group(0.0, "a < b", "x", 0.0, f64::NAN).contains("a &lt; b"));
        assert!(!group(0.0, "c", "x", 0.0, f64::NAN).contains("NaN"));
    }
}
