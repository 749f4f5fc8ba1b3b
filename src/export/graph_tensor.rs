//! Tensors of a graph that are known beforehand: weights and constants.

use std::fmt;

use candle_core::{Device, Tensor};

use super::messages::ElementType;
use crate::error::{Error, Result};
use crate::nn::Dtype;
use crate::proto::ProtoMessage;

/// A tensor in the file, whose bytes are made while it is written, so that one at a time is in memory.
pub(super) struct GraphTensor {
    pub(super) name: String,
    pub(super) kind: ElementType,
    pub(super) dims: Vec<usize>,
    pub(super) data: Box<dyn Fn() -> Result<Vec<u8>>>,
}

impl GraphTensor {
    /// Bytes of its elements.
    pub(super) fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.kind.bytes()
    }

    /// Its `TensorProto` up to the bytes of the elements, which end it.
    pub(super) fn header(&self) -> ProtoMessage {
        let dims = self.dims.iter().fold(ProtoMessage::new(), |message, size| message.int(1, *size as i64));
        dims.int(2, self.kind as i64).bytes(8, &self.name).length(9, self.bytes())
    }

    /// The bytes of its elements, little-endian.
    ///
    /// # Errors
    /// Those of the device that holds them.
    pub(super) fn elements(&self) -> Result<Vec<u8>> {
        let bytes = (self.data)()?;
        if bytes.len() != self.bytes() {
            let message = format!("'{}' has {} bytes instead of {}", self.name, bytes.len(), self.bytes());
            return Err(Error::internal(message));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for GraphTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {:?}", self.name, self.kind, self.dims)
    }
}

/// The bytes of an f32 tensor, row-major.
pub(super) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    Ok(Dtype::F32.encode(&tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?))
}
