//! Embedding: rows of a table by id; the gradient is added to those rows.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// ids (…) of u32, table (rows, hidden) -> (…, hidden). Gradient for the table. On a GPU an id beyond the table gives
/// NaN instead of an error, for which the host would have to wait.
///
/// # Errors
/// An id beyond the table, or `interrupted`, when the user cancels.
pub fn embedding(ids: &Tensor, table: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let table = input(table, "embedding")?;
    let rows = table.dims2()?.0;
    if ids.dtype() != DType::U32 {
        return Err(Error::mistake(format!("ids are u32, these are {:?}", ids.dtype())));
    }
    #[cfg(feature = "cuda")]
    if table.device().is_cuda() {
        return cuda::embedding(ids, &table, interrupt);
    }
    let dims = ids.dims().to_vec();
    let ids = ids.flatten_all()?.to_vec1::<u32>()?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
        return Err(Error::mistake(format!("id {id} is beyond the vocabulary of {rows}")));
    }
    Ok(autograd::apply1(&table, Embedding { ids, dims, interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

struct Embedding {
    ids: Vec<u32>,
    dims: Vec<usize>,
    interrupt: Interrupt,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let hidden = l.shape().dims2()?.1;
        let rows = cpu::gather(floats_of(table, l)?, hidden, &self.ids);
        let dims: Vec<usize> = self.dims.iter().copied().chain([hidden]).collect();
        Ok((CpuStorage::F32(rows), Shape::from(dims)))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let grad = cpu::scatter(&floats(&dy)?, table.dims2()?, &self.ids);
        Ok(Some(Tensor::from_vec(grad, table.shape(), table.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (shape, table) in [((1, 1), [1, 1]), ((2, 5), [7, 3]), ((4, 64), [50, 33])] {
                let n = shape.0 * shape.1;
                let ids: Vec<u32> = (0..n).map(|i| (i * i % table[0]) as u32).collect();
                let ids = Tensor::from_vec(ids, shape, &Device::Cpu).unwrap();
                let slow = |x: &[Tensor]| {
                    x[0].contiguous()?.index_select(&ids.flatten_all()?, 0)?.reshape((shape.0, shape.1, table[1]))
                };
                hold_on(device, &format!("{shape:?}"), &[random(&table, 1)], |x, i| embedding(&ids, &x[0], i), slow);
            }
        }
    }

    #[test]
    fn an_id_beyond_the_table_is_refused() {
        let ids = Tensor::new(&[0u32, 3], &Device::Cpu).unwrap();
        let error = embedding(&ids, &random(&[3, 2], 0), &Interrupt::new()).unwrap_err();
        assert_eq!(error.message(), "id 3 is beyond the vocabulary of 3");
    }
}
