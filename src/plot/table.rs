//! Rows under headings.

/// Columns as wide as their widest cell (in terminal columns); numbers to the right, words to the left.
pub fn table(_headings: &[&str], _rows: &[Vec<String>]) -> String {
    todo!()
}
