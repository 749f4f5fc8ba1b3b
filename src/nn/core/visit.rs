//! A visitor over all weights of a model with the part each belongs to, in the order of the forward pass: used for
//! counting, saving, adapters and tables.

use super::{Head, Linear, Norm, Transformer, Weight};

/// A part of the model that holds weights; each weight knows its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// (vocabulary, hidden)
    Embedding(&'a Weight),
    /// Rows of the embedding that train in the place of those it has: (ids, hidden).
    TokenRows(&'a Weight),
    /// Learned positions: (positions, hidden).
    Positions(&'a Weight),
    /// Biases of attention by distance: (buckets, heads).
    RelativeBias(&'a Weight),
    /// Vectors of attention by distance: (distances, heads · dim).
    RelativeVectors(&'a Weight),
    /// (hidden), with or without a bias.
    Norm(&'a Norm),
    /// A linear layer of a block: (out, in), with or without a bias.
    Linear(&'a Linear),
    /// A head of its own: (vocabulary, hidden).
    Head(&'a Linear),
}

impl<'a> Part<'a> {
    /// Its linear layer, if it is one.
    pub(crate) fn linear(self) -> Option<&'a Linear> {
        match self {
            Self::Linear(linear) | Self::Head(linear) => Some(linear),
            _ => None,
        }
    }

    /// Its weights in f32: all but those in 4 bits.
    pub(crate) fn weights(self) -> Box<dyn Iterator<Item = &'a Weight> + 'a> {
        match self {
            Self::Embedding(weight)
            | Self::TokenRows(weight)
            | Self::Positions(weight)
            | Self::RelativeBias(weight)
            | Self::RelativeVectors(weight) => Box::new(std::iter::once(weight)),
            Self::Norm(norm) => Box::new(norm.weights()),
            Self::Linear(linear) | Self::Head(linear) => Box::new(linear.weights()),
        }
    }
}

impl Transformer {
    /// Shows all parts to `visit` in the order of the forward pass; a tied head is not one.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Embedding(&self.embedding));
        if let Some(tokens) = &self.token_rows {
            visit(Part::TokenRows(&tokens.rows));
        }
        if let Some(encoder) = &self.encoder {
            encoder.visit(visit);
        }
        self.decoder.visit(visit);
        if let Head::Untied(linear) = &self.head {
            visit(Part::Head(linear));
        }
    }

    /// All parts, as [`Transformer::visit`] shows them.
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        self.visit(&mut |part| parts.push(part));
        parts
    }

    /// All linear layers, the head included if it is one.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.parts().into_iter().filter_map(Part::linear)
    }
}
