//! The labels of a roll at three widths: a full page, half a page, a telephone.

use super::super::svg::text_width;

/// A style sheet with larger letters where the picture is displayed smaller. Class `w` is visible on wide pages only,
/// `m` on all but narrow ones. At these widths letters are between 8 and 15 pixels high.
pub(super) const CSS: &str = "@media(max-width:800px){text{font-size:18px}.w{display:none}}\
     @media(max-width:520px){text{font-size:27px}.m{display:none}}";

/// The height of letters at each width, in the units of the picture: narrow, half, wide.
const SIZES: [f64; 3] = [27.0, 18.0, 13.0];

/// The class attributes by which a label is visible only at widths with room for it.
pub(super) const CLASSES: [&str; 3] = ["", " class=\"m\"", " class=\"w\""];

/// Which of some labels that begin at `x` fit in a row without touching, and at which widths: an index of [`CLASSES`],
/// or `None` where there is never room. None ends beyond `right`.
pub(super) fn fitting(names: &[(f64, String)], right: f64) -> Vec<Option<usize>> {
    let mut shown: Vec<Option<usize>> = vec![None; names.len()];
    for (level, size) in SIZES.iter().enumerate() {
        let wide = |i: usize| text_width(&names[i].1, *size, true) + 0.5 * size;
        let mut free = f64::NEG_INFINITY;
        for i in 0..names.len() {
            let next = (i + 1..names.len()).find(|j| shown[*j].is_some());
            let end = names[i].0 + wide(i);
            if shown[i].is_some() {
                free = end;
            } else if names[i].0 >= free && end <= right && next.is_none_or(|j| end <= names[j].0) {
                shown[i] = Some(level);
                free = end;
            }
        }
    }
    shown
}

/// The class of the `i`th of labels `apart` pixels apart, each `wide` times as wide as its letters are high.
pub(super) fn thinned(i: usize, apart: f64, wide: f64) -> &'static str {
    let fits = |size: f64, every: usize| wide * size <= apart * every as f64;
    let every = |size: f64| [1, 2, 4, 8, 16].into_iter().find(|every| fits(size, *every)).unwrap_or(16);
    let level = SIZES.iter().position(|size| i.is_multiple_of(every(*size)));
    CLASSES[level.unwrap_or(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(at: &[(f64, &str)]) -> Vec<(f64, String)> {
        at.iter().map(|(x, name)| (*x, (*name).to_owned())).collect()
    }

    #[test]
    fn names_never_touch_at_any_width() {
        let many: Vec<(f64, String)> = (0..60).map(|i| (f64::from(i) * 37.0 % 1100.0, "F♯m7♭5/C".into())).collect();
        let mut many = many;
        many.sort_by(|a, b| a.0.total_cmp(&b.0));
        let shown = fitting(&many, 1200.0);
        for (level, size) in SIZES.iter().enumerate() {
            let visible: Vec<usize> = (0..many.len()).filter(|i| shown[*i].is_some_and(|l| l <= level)).collect();
            assert!(visible.len() > 3, "{level}: {visible:?}");
            for pair in visible.windows(2) {
                let end = many[pair[0]].0 + text_width(&many[pair[0]].1, *size, true);
                assert!(end <= many[pair[1]].0, "level {level}: {pair:?}");
            }
        }
    }

    #[test]
    fn what_fits_on_a_wide_page_only_says_so() {
        let shown = fitting(&names(&[(0.0, "C"), (30.0, "G"), (60.0, "Am"), (1195.0, "F")]), 1200.0);
        assert_eq!(shown, [Some(0), Some(1), Some(0), None]);
    }

    #[test]
    fn labels_are_thinned_by_powers_of_two() {
        let classes: Vec<&str> = (0..5).map(|i| thinned(i, 40.0, 2.5)).collect();
        assert_eq!(classes, [CLASSES[0], CLASSES[2], CLASSES[0], CLASSES[2], CLASSES[0]]);
    }
}
