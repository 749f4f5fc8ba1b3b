//! The instruction set that the ops use.

/// The instruction sets that ops are compiled for; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::nn) enum Isa {
    /// The baseline of the architecture.
    Portable,
    /// AVX2 with fused multiply–add.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// The best one of this machine; in a test, at most the one asked for by [`on_isa`].
    #[inline]
    pub(in crate::nn) fn get() -> Self {
        let best = Self::best();
        #[cfg(test)]
        let best = best.min(forced::MOST.get());
        best
    }

    /// Whether AVX-512 has products of bf16.
    pub(in crate::nn) fn has_bf16() -> bool {
        #[cfg(target_arch = "x86_64")]
        return Self::get() == Self::Avx512 && std::is_x86_feature_detected!("avx512bf16");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether AVX-512 has products of f16, summed in f16.
    pub(in crate::nn) fn has_f16() -> bool {
        #[cfg(target_arch = "x86_64")]
        return Self::get() == Self::Avx512 && std::is_x86_feature_detected!("avx512fp16");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether AVX-512 has products of 16-bit integers.
    pub(in crate::nn) fn has_vnni() -> bool {
        #[cfg(target_arch = "x86_64")]
        return Self::get() == Self::Avx512 && std::is_x86_feature_detected!("avx512vnni");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn best() -> Self {
        use std::is_x86_feature_detected as has;
        match has!("avx2") && has!("fma") {
            true if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") => Self::Avx512,
            true => Self::Avx2,
            false => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn best() -> Self {
        Self::Portable
    }
}

#[cfg(test)]
pub(in crate::nn) use forced::{on_isa, skip};

#[cfg(test)]
mod forced {
    use std::cell::Cell;
    use std::io::Write as _;

    use super::Isa;

    thread_local! {
        pub(super) static MOST: Cell<Isa> = const { Cell::new(Isa::Avx512) };
    }

    /// Reports that a test ends early because the machine has no `what`; fails where `ETUDE_MUST_HAVE` lists it, which
    /// CI sets on known machines.
    pub(in crate::nn) fn skip(what: &str) {
        let must = std::env::var("ETUDE_MUST_HAVE").unwrap_or_default();
        assert!(
            !must.split(',').any(|name| name == what),
            "this machine has no {what}, and ETUDE_MUST_HAVE asks for it"
        );
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not print!, whose text the test harness hides when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name}: this machine has no {what}");
    }

    /// Runs `work` on a pool of `threads` threads that use `isa` at most. The choice belongs to the threads of the
    /// pool, so that concurrent tests keep theirs.
    pub(in crate::nn) fn on_isa<T: Send>(isa: Isa, threads: usize, work: impl FnOnce() -> T + Send) -> T {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(move |_| MOST.set(isa));
        pool.build().unwrap().install(work)
    }
}
