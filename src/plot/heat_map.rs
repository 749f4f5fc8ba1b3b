//! A matrix as shades.

/// `rows` × `columns` values, row-major, averaged down to at most `width` × `height` cells.
pub fn heat_map(_values: &[f32], _rows: usize, _columns: usize, _width: usize, _height: usize) -> String {
    todo!()
}
