//! A table with other rows in some places; the gradient goes to those rows alone.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// The table (n, width) whose row `ids[i]` is row i of rows (ids, width). Gradient for the rows; the table is frozen.
///
/// # Errors
/// Shapes that do not fit each other, an id beyond the table or given twice, or `interrupted`, when the user cancels.
pub fn replace_rows(table: &Tensor, rows: &Tensor, ids: &[u32], interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (table, rows) = (input(&table.detach(), "replace_rows")?, input(rows, "replace_rows")?);
    let (count, width) = table.dims2()?;
    if rows.dims() != [ids.len(), width] {
        let (found, ids) = (rows.dims(), ids.len());
        return Err(Error::mistake(format!("rows of {found:?} do not replace {ids} rows of {:?}", table.dims())));
    }
    let mut seen = vec![false; count];
    for &id in ids {
        match seen.get_mut(id as usize) {
            Some(place) if !*place => *place = true,
            Some(_) => return Err(Error::mistake(format!("row {id} is to be replaced twice"))),
            None => return Err(Error::mistake(format!("row {id} is beyond a table of {count}"))),
        }
    }
    #[cfg(feature = "cuda")]
    if rows.device().is_cuda() {
        return cuda::replace_rows(&table, &rows, ids, interrupt);
    }
    let op = ReplaceRows { table, ids: ids.to_vec(), interrupt: interrupt.clone() };
    Ok(autograd::apply1(&rows, op, Saves::NOTHING)?)
}

struct ReplaceRows {
    table: Tensor,
    ids: Vec<u32>,
    interrupt: Interrupt,
}

impl CustomOp1 for ReplaceRows {
    fn name(&self) -> &'static str {
        "replace_rows"
    }

    fn cpu_fwd(&self, rows: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let (rows, (_, width)) = (floats_of(rows, l)?, self.table.dims2()?);
        let mut y = floats(&self.table)?.to_vec();
        if width > 0 {
            for (&id, row) in self.ids.iter().zip(rows.chunks_exact(width)) {
                y[id as usize * width..][..width].copy_from_slice(row);
            }
        }
        Ok((CpuStorage::F32(y), self.table.shape().clone()))
    }

    fn bwd(&self, rows: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dy, (_, width)) = (floats(&dy)?, self.table.dims2()?);
        let gradient: Vec<f32> = self.ids.iter().flat_map(|&id| &dy[id as usize * width..][..width]).copied().collect();
        Ok(Some(Tensor::from_vec(gradient, rows.shape(), rows.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (count, width, ids) in [(1, 1, vec![0u32]), (9, 5, vec![8, 0, 3]), (20, 33, vec![7])] {
                let table = random(&[count, width], 1);
                let held = table.to_device(device).unwrap();
                let fast = |x: &[Tensor], i: &Interrupt| replace_rows(&held, &x[0], &ids, i);
                // Which row is taken from where: a matrix of ones and zeros.
                let slow = |x: &[Tensor]| {
                    let pick = |row: usize| ids.iter().map(move |&id| f32::from(u8::from(id as usize == row)));
                    let pick: Vec<f32> = (0..count).flat_map(pick).collect();
                    let pick = Tensor::from_vec(pick, (count, ids.len()), x[0].device())?;
                    let kept = (1.0 - pick.sum_keepdim(1)?)?;
                    pick.matmul(&x[0].contiguous()?)? + table.broadcast_mul(&kept)?
                };
                hold_on(device, &format!("{count} {width}"), &[random(&[ids.len(), width], 2)], fast, slow);
            }
        }
    }

    #[test]
    fn rows_that_are_not_there_or_twice_are_refused() {
        let quiet = Interrupt::new();
        let replace = |ids: &[u32]| replace_rows(&random(&[4, 3], 0), &random(&[2, 3], 1), ids, &quiet);
        assert_eq!(replace(&[1, 4]).unwrap_err().message(), "row 4 is beyond a table of 4");
        assert_eq!(replace(&[1, 1]).unwrap_err().message(), "row 1 is to be replaced twice");
        assert_eq!(replace(&[1]).unwrap_err().message(), "rows of [2, 3] do not replace 1 rows of [4, 3]");
    }
}
