//! The guide says of every argument of the original where it went.

/// The arguments of each class and function of fjformer's `q_flax`, in its order.
const ARGUMENTS: &[(&str, &[&str])] = &[
    ("Freezer", &["quant_collection", "quant_mode", "q_shape", "q_init", "s_shape", "s_init", "inputs"]),
    (
        "QDotGeneral",
        &[
            "cfg",
            "prng_name",
            "lhs_quant_mode",
            "lhs_init",
            "lhs_scale_init",
            "lhs_var_name",
            "rhs_quant_mode",
            "rhs_init",
            "rhs_scale_init",
            "rhs_var_name",
            "quant_collection",
            "lhs_shape",
            "rhs_shape",
            "lhs",
            "rhs",
            "dimension_numbers",
            "precision",
            "preferred_element_type",
        ],
    ),
    ("QEinsum", &["eqn", "lhs_g", "rhs_g"]),
    (
        "config_v4",
        &[
            "fwd_bits",
            "dlhs_bits",
            "drhs_bits",
            "use_dummy_static_bound",
            "rng_type",
            "dlhs_local_aqt",
            "drhs_local_aqt",
            "fwd_accumulator_dtype",
            "dlhs_accumulator_dtype",
            "drhs_accumulator_dtype",
        ],
    ),
    (
        "the configuration",
        &[
            "fwd",
            "dlhs",
            "drhs",
            "dg_accumulator_dtype",
            "local_aqt",
            "numerics",
            "bits",
            "preserve_zero",
            "preserve_max_val",
            "clip",
            "round",
            "noise_fn",
            "clip_gradient",
            "dtype",
            "calib_shared_axes",
            "scale_stop_grad",
            "calibration",
            "po2_scale",
            "use_fake_quant",
            "use_fwd_quant",
            "preprocess",
            "key",
            "train_step",
        ],
    ),
];

#[test]
fn the_guide_says_where_every_argument_of_the_original_went() {
    let guide = include_str!("../src/guide/coming_from.md");
    let (_, section) = guide.split_once("## fjformer and AQT").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    // What is said of an argument stands beside it: its name is in the first column.
    let firsts = section.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    // Of text cut at backticks, every second piece is between two.
    let named: Vec<&str> = firsts.flat_map(|first| first.split('`').skip(1).step_by(2)).collect();
    for (owner, arguments) in ARGUMENTS {
        for argument in *arguments {
            assert!(named.contains(argument), "`{argument}` of {owner} is not in the guide");
        }
    }
}
