//! Maps a model's weights, one by one, to another model.

use super::{Head, Linear, Transformer, Weight};
use crate::error::Result;

/// A mapping of a model's weights.
pub(crate) trait MapWeights {
    /// Embedding, positions and norms.
    fn weight(&self, weight: &Weight) -> Result<Weight>;
    /// Linear layers of the blocks.
    fn linear(&self, linear: &Linear) -> Result<Linear>;
    /// A head of its own.
    fn head(&self, head: &Linear) -> Result<Linear>;
}

impl Transformer {
    /// The same architecture with mapped weights.
    pub(crate) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self {
            spec: self.spec.clone(),
            embedding: map.weight(&self.embedding)?,
            token_rows: self.token_rows.clone(),
            encoder: self.encoder.as_ref().map(|encoder| encoder.map(map)).transpose()?,
            decoder: self.decoder.map(map)?,
            head: match &self.head {
                Head::Tied => Head::Tied,
                Head::Untied(linear) => Head::Untied(map.head(linear)?),
            },
        })
    }
}
