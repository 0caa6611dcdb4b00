//! One kernel compiled twice: for every x86-64, and for those that have AVX2.

/// Declares a function that calls `$plain`, an `#[inline(always)]` function of the same arguments,
/// compiled for AVX2 and the bit operations that came with it where the processor has them, as it
/// stands elsewhere.
///
/// Both are the same Rust, so that both give the same bits: a compiler may use wider registers, but
/// neither change the order of float operations nor contract two of them (FMA is not switched on).
macro_rules! dispatched {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident($($argument:ident: $of:ty),* $(,)?) $(-> $result:ty)? = $plain:expr) => {
        $(#[$attribute])*
        $vis fn $name($($argument: $of),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn wide($($argument: $of),*) $(-> $result)? {
                    $plain($($argument),*)
                }
                if $crate::kernel::dispatch::is_wide() {
                    // SAFETY: the only condition of a safe function with target features is that the
                    // processor has them, which `is_wide` found out.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($argument),*) };
                }
            }
            $plain($($argument),*)
        }
    };
}
pub(crate) use dispatched;

/// Whether the processor has what `dispatched!` compiles for.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn is_wide() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}
