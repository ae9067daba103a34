//! `Accept`: what a client would like, and how much (RFC 9110, 12.5.1).

/// A `q` of 1, in thousandths.
pub const WEIGHT_MAX: u32 = 1_000;

/// The weight that `Accept` gives a media type, in thousandths: that of the most specific range that matches, 0 where
/// none does. Without the header every type is accepted.
pub fn weight_of(accept: &str, media_type: &str) -> u32 {
    if accept.trim().is_empty() {
        return WEIGHT_MAX;
    }
    let kind = media_type.split_once('/').map_or(media_type, |(kind, _)| kind);
    let fit = |name: &str| match name.split_once('/') {
        _ if name.eq_ignore_ascii_case(media_type) => 3,
        Some((of, "*")) if of.eq_ignore_ascii_case(kind) => 2,
        Some(("*", "*")) => 1,
        _ => 0,
    };
    let ranges = ranges(accept).map(|(name, weight)| (fit(name), weight));
    ranges.filter(|(fit, _)| *fit > 0).max().map_or(0, |(_, weight)| weight)
}

/// The ranges in the order given, each with its weight.
pub fn ranges(accept: &str) -> impl Iterator<Item = (&str, u32)> {
    accept.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        (name, parts.find_map(weight).unwrap_or(WEIGHT_MAX))
    })
}

/// The weight that `q=0.5` gives; one that cannot be read gives none.
fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    let value: f64 = value.trim().parse().ok()?;
    let is_weight = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value);
    is_weight.then_some((value * f64::from(WEIGHT_MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_range_says_how_much() {
        let text = |accept| weight_of(accept, "text/plain");
        assert_eq!([text(""), text("*/*"), text("TEXT/Plain")], [WEIGHT_MAX; 3]);
        assert_eq!([text("text/html"), text("text/plain;q=0"), text(",;,")], [0; 3]);
        assert_eq!(text("*/*;q=0.9, text/*;q=0.5, text/html"), 500);
        assert_eq!(text("text/plain;version=0.0.4;q=0.2, */*"), 200);
    }
}
