#![allow(unsafe_code, reason = "code for an instruction set runs only where that was detected")]
//! The instruction sets that loops are compiled for, and the choice between them.

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;

/// The instruction sets that the kernels are compiled for. All give the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Isa {
    /// What the target has without being asked; without a fused multiply-add this is exact but slow.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same and AVX-VNNI, which only integers notice.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 F, BW, VL and DQ, which came together.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same and AVX-512 VNNI, which only integers notice.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// NEON, which every aarch64 has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// The same and its dot products, which only integers notice.
    #[cfg(target_arch = "aarch64")]
    DotProd,
}

impl Isa {
    /// What it is called, by those who sell it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "AVX-VNNI",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => "AVX-512 VNNI",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "NEON",
            #[cfg(target_arch = "aarch64")]
            Self::DotProd => "NEON with dot products",
        }
    }

    /// The widest instruction set of this processor.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return if is_x86_feature_detected!("avx512vnni") { Self::Vnni } else { Self::Avx512 };
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return if is_x86_feature_detected!("avxvnni") { Self::AvxVnni } else { Self::Avx2 };
            }
        }
        #[cfg(target_arch = "aarch64")]
        if is_aarch64_feature_detected!("neon") {
            return if is_aarch64_feature_detected!("dotprod") { Self::DotProd } else { Self::Neon };
        }
        Self::Portable
    }

    /// Every instruction set of this processor, the widest last.
    pub(super) fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other targets have the portable one only")]
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = has_avx512();
            let sets = [
                (Self::Avx2, avx2),
                (Self::AvxVnni, avx2 && is_x86_feature_detected!("avxvnni")),
                (Self::Avx512, avx512),
                (Self::Vnni, avx512 && is_x86_feature_detected!("avx512vnni")),
            ];
            all.extend(sets.into_iter().filter(|(_, there)| *there).map(|(isa, _)| isa));
        }
        #[cfg(target_arch = "aarch64")]
        {
            let sets = [
                (Self::Neon, is_aarch64_feature_detected!("neon")),
                (Self::DotProd, is_aarch64_feature_detected!("dotprod")),
            ];
            all.extend(sets.into_iter().filter(|(_, there)| *there).map(|(isa, _)| isa));
        }
        all
    }

    /// Runs a loop that was compiled for this instruction set.
    ///
    /// `self` must come from [`Isa::detect`].
    pub(super) fn run<L: Vectorized>(self, vectorized: L) -> L::Output {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2<L: Vectorized>(vectorized: L) -> L::Output {
            vectorized.run()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        unsafe fn avx512<L: Vectorized>(vectorized: L) -> L::Output {
            vectorized.run()
        }
        #[cfg(target_arch = "aarch64")]
        #[target_feature(enable = "neon")]
        unsafe fn neon<L: Vectorized>(vectorized: L) -> L::Output {
            vectorized.run()
        }
        match self {
            Self::Portable => vectorized.run(),
            // SAFETY: the instruction set was detected.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => unsafe { avx2(vectorized) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Vnni => unsafe { avx512(vectorized) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Self::Neon | Self::DotProd => unsafe { neon(vectorized) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}

/// A loop that the compiler vectorizes, once for each instruction set.
///
/// None of them has to be asked for by name: what is inlined into a function that is compiled for an instruction set is
/// compiled for it too. `run` and all that it calls in its loops therefore have to be `#[inline(always)]`.
pub(crate) trait Vectorized {
    /// What the loop gives.
    type Output;

    /// The loop.
    fn run(self) -> Self::Output;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_is_the_last_that_is_there() {
        assert_eq!(Isa::available().last(), Some(&Isa::detect()));
    }
}
