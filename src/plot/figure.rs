//! Line charts as SVG.

use std::path::Path;

use crate::error::Result;

/// Series of numbers over their index, with a title and axis names.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    /// Above the picture.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// Name and values of each line.
    pub series: Vec<(String, Vec<f64>)>,
}

impl Figure {
    /// The picture as SVG; the same input gives the same bytes.
    ///
    /// # Errors
    /// When there is nothing to draw.
    pub fn svg(&self) -> Result<String> {
        todo!()
    }

    /// The picture as text of at most `width` columns.
    pub fn text(&self, _width: usize) -> String {
        todo!()
    }

    /// Writes it, by the ending of the path: `.svg`.
    ///
    /// # Errors
    /// Another ending, or a path the file system refuses.
    pub fn save(&self, _path: &Path) -> Result<()> {
        todo!()
    }
}
