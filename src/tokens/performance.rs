//! The performance encoding of Music Transformer (Huang et al. 2018).
