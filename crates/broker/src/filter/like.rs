//! Texts with wildcards: `%` is any run of characters, `_` exactly one.

enum Mark {
    Run,
    One,
    Char(char),
}

/// Goes back to the last run only, as an earlier one can gain nothing: pattern length times text
/// length at worst, no allocation.
pub(super) fn matches(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let advanced = match mark(pattern, escape) {
            Some((Mark::Run, "")) => return true,
            Some((Mark::Run, after)) => {
                retry = Some((after, text));
                Some((after, text))
            }
            Some((Mark::One, after)) => skip(text).map(|rest| (after, rest)),
            Some((Mark::Char(wanted), after)) => {
                text.strip_prefix(wanted).map(|rest| (after, rest))
            }
            None if text.is_empty() => return true,
            None => None,
        };
        (pattern, text) = match advanced {
            Some(next) => next,
            None => match retry.and_then(|(after, from)| Some((after, skip(from)?))) {
                Some(next) => {
                    retry = Some(next);
                    next
                }
                None => return false,
            },
        };
    }
}

/// The escape character takes the meaning from `%`, `_` and itself, and is itself otherwise.
fn mark(pattern: &str, escape: Option<char>) -> Option<(Mark, &str)> {
    let mut chars = pattern.chars();
    let first = chars.next()?;
    if Some(first) == escape {
        let after = chars.as_str();
        return Some(match chars.next() {
            Some(next) if next == '%' || next == '_' || next == first => {
                (Mark::Char(next), chars.as_str())
            }
            Some(_) | None => (Mark::Char(first), after),
        });
    }
    let mark = match first {
        '%' => Mark::Run,
        '_' => Mark::One,
        other => Mark::Char(other),
    };
    Some((mark, chars.as_str()))
}

fn skip(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_escapes() {
        for (text, pattern, escape, truth) in [
            ("", "", None, true),
            ("", "%", None, true),
            ("", "_", None, false),
            ("abc", "abc", None, true),
            ("abc", "a%", None, true),
            ("abc", "%c", None, true),
            ("abc", "a_c", None, true),
            ("abc", "a_", None, false),
            ("abc", "_%_", None, true),
            ("a", "_%_", None, false),
            ("a\nb", "a_b", None, true),
            ("é!", "_!", None, true),
            ("ababab", "%ab", None, true),
            ("ababac", "%ab", None, false),
            ("mississippi", "%iss%ip%", None, true),
            ("a.c", "a.c", None, true),
            ("abc", "a.c", None, false),
            ("a%c", r"a\%c", Some('\\'), true),
            ("abc", r"a\%c", Some('\\'), false),
            ("a_c", "a!_c", Some('!'), true),
            ("a!c", "a!!c", Some('!'), true),
            ("a!c", "a!c", Some('!'), true),
            ("a!", "a!", Some('!'), true),
            ("100%", "%%%", Some('%'), false),
            ("%%", "%%%%", Some('%'), true),
        ] {
            assert_eq!(
                matches(text, pattern, escape),
                truth,
                "{text:?} like {pattern:?}"
            );
        }
    }

    #[test]
    fn many_runs_do_not_explode() {
        let text = "a".repeat(2000);
        let pattern = "a%".repeat(100) + "b";
        assert!(!matches(&text, &pattern, None));
    }
}
