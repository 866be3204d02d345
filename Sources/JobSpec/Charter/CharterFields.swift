import Models

/// Every key a charter may hold, beside those of a job that mean the same here.
enum CharterFields {
  static let name = JobField<String>.text(
    "name", .identifier(maximum: 64), default: .required, "The federation's name.")
  static let address = JobField<String>.text(
    "aggregator.address", .endpoint, default: .required, "Where sites reach the aggregator.")
  static let aggregatorKey = JobField<String>.text(
    "aggregator.key", .text(maximum: 4096), default: .required,
    "File of the aggregator's public key. \(relative)")

  /// How many sites a charter may list.
  static let siteCount = 2...1000
  static let siteName = JobField<String>.text(
    "sites[].name", .identifier(maximum: 64), default: .required,
    "A site's name, once in the charter. 2 to 1000 sites; their order is the order of every sum.")
  static let siteKey = JobField<String>.text(
    "sites[].key", .text(maximum: 4096), default: .required, "File of the site's public key. \(relative)")

  static let columns = JobField<[String]>.texts(
    "data.columns", maximum: 256, count: 1...1_048_576,
    default: .derived("required for `model.mlp`, here or as `columns_file`"),
    "Names of the features in the model's order. Every site's file must have each by name, in any order; more are ignored."
  )
  static let columnsFile = JobField<String>.text(
    "data.columns_file", .text(maximum: 4096), default: .derived("none; instead of `columns`"),
    "A text file with one such name a line. \(relative)")
  static let classes = JobField<[String]>.texts(
    "data.classes", maximum: 256, count: 2...65_536, default: .derived("required for `classification`"),
    "The labels of all sites; a label's place in the list is its class id. A site's numeric labels are looked up in a list of whole "
      + "numbers, and are places in any other list. A site with another label is refused by name.")
  static let standardize = JobField<FeatureStandardization>.choice(
    "data.standardize", default: .value(.none),
    "`pooled`: each column's exact mean and deviation over all sites' training rows, by sums over the sites; `site`: over a site's "
      + "own; `none`: features as they are.")

  static let rounds = JobField<Int>.integer(
    "federation.rounds", 1...1_000_000, default: .required, "How often the sites train and are averaged.")
  static let updates = JobField<Int>.integer(
    "federation.local.updates", 1...1_000_000_000,
    default: .derived("one of `updates`, `epochs` and `full` is required"),
    "Optimizer steps of a site in a round; the next round goes on where they stopped in the site's order of rows.")
  static let epochs = JobField<Int>.integer(
    "federation.local.epochs", 1...100_000, default: .derived("instead of `updates`"),
    "Passes of a site over its training rows in a round.")
  static let full = JobField<Bool>.boolean(
    "federation.local.full", default: .derived("instead of `updates`"),
    "`true`: one optimizer step a round on all training rows of a site; `train.batch` is then not used.")

  static let minimum = JobField<Int>.integer(
    "federation.participation.minimum", 1...1000,
    default: .derived("more than half of the sites, but not more than take part in a round"),
    "Fewest sites whose uploads are in a sum; at least 2 with `aggregation: secure`.")
  static let fraction = JobField<Double>.number(
    "federation.participation.fraction", NumberRange(lower: 0, upper: 1, excludesLower: true), default: .value(1),
    "Share of the sites that is drawn for each round, rounded up.")
  static let patience = JobField<Double>.number(
    "federation.participation.patience", NumberRange(lower: 0, upper: 604_800, excludesLower: true),
    default: .value(600), "Seconds that a round waits for a site before it goes on without it.")

  /// A smaller one has no place in the fixed point, whose bits go down to 2⁻⁶².
  private static let smallestClip = 1e-18
  static let updateClip = JobField<Double>.number(
    "federation.fixed_point.update_clip", NumberRange(lower: smallestClip, upper: 1_000_000),
    default: .value(8), "Largest absolute value of an entry of a site's update; a larger one is an error of that site.")
  static let controlClip = JobField<Double>.number(
    "federation.fixed_point.control_clip", NumberRange(lower: smallestClip, upper: 1_000_000),
    default: .derived("as `update_clip`; for `scaffold` only"),
    "The same for the change of a site's control variate.")
  static let rowsBound = JobField<Int>.integer(
    "federation.fixed_point.rows_bound", 1...1_099_511_627_776, default: .value(1_048_576),
    "Most rows that a site may have; public, unlike how many it has.")
  static let statisticsBound = JobField<Double>.number(
    "federation.fixed_point.statistics_bound", NumberRange(lower: smallestClip, upper: 1e12),
    default: .value(1_000_000), "Largest absolute value of a loss or another statistic that a site reports.")

  static let aggregation = JobField<AggregationKind>.choice(
    "federation.aggregation", default: .value(.secure),
    "`secure`: the aggregator learns sums over sites alone; `plain`: each site's update and statistics too.")
  static let threshold = JobField<Int>.integer(
    "federation.threshold", 1...1000, default: .derived("⌊2n/3⌋ + 1 of n sites; with `aggregation: secure`"),
    "How many sites must agree on who is in a sum before it is unmasked: above n/2 against an aggregator that is curious, at "
      + "least ⌊2n/3⌋ + 1 against one that lies. The others may be away.")

  static let strength = JobField<MaskingStrength>.choice(
    "federation.masking.strength", among: [.rotation, .permutation, .none],
    default: .derived("rotation; permutation for `fedadagrad`, `fedadam` and `fedyogi`"),
    "The largest group of keys under which the aggregator averages the model; `none`: it has the model in the clear.")
  static let baseModel = JobField<BaseModelVisibility>.choice(
    "federation.masking.base_model",
    default: .derived("required for `model.huggingface` under rotation or permutation"),
    "Whether the aggregator can have the pretrained weights in the clear (`public`), and with them work out keys from the masked "
      + "ones, or not (`private`). Changes no result.")

  static let privacyUnit = JobField<PrivacyTarget.Unit>.choice(
    "federation.privacy.unit", default: .derived("required in `privacy`"),
    "Whose presence is hidden: a `record`'s (each site clips and noises its gradients) or a `site`'s (its update).")
  private static let privacy = PrivacyFields(
    in: "federation.privacy", of: "charter", clipped: "a record's gradient, or of a site's update")
  static let privacyClip = privacy.clipNorm
  static let epsilon = privacy.epsilon
  static let delta = privacy.delta
  static let colluders = JobField<Int>.integer(
    "federation.privacy.colluders", 0...998, default: .derived("0; for `unit: site` only"),
    "Sites that may tell their share of the noise: the others' shares alone add up to what ε needs. Each site knows its own, so that 0 "
      + "protects from who is no site, and 1 also from every other site by itself.")

  static let stopPatience = JobField<Int>.integer(
    "federation.stop.patience", 1...1_000_000, default: .derived("no early stop"),
    "Rounds without a better validation metric, pooled over the sites, after which the run ends.")
  static let classWeights = JobField<ClassWeighting>.choice(
    "federation.class_weights", default: .value(.none),
    "`balanced`: a row of class c counts N / (C · N_c) in the loss, N_c of all N training rows of the sites and C classes; for "
      + "`classification`.")

  private static let relative = "Relative to the charter's own file; on the command line, to the working directory."
}

/// The settings of what the aggregator does with the mean of the updates.
enum StrategyFields {
  static let name = JobField<StrategyDescription.Kind>.choice(
    "federation.strategy.name", default: .value(.fedavg),
    "What the aggregator does with the mean of the sites' updates.")
  static let serverLearningRate = JobField<Double>.number(
    "federation.strategy.server_lr", NumberRange(lower: 0, upper: 1000, excludesLower: true),
    default: .derived("1; 0.1 for `fedadagrad`, `fedadam` and `fedyogi`"), "The aggregator's step.")
  static let momentum = JobField<Double>.number(
    "federation.strategy.momentum", NumberRange(lower: 0, upper: 1, excludesUpper: true),
    default: .derived("0.9 for `fedavgm`, 0 for `fedadagrad`; the others have none"), "β₁ of the two.")
  static let betas = JobField<[Double]>.numbers(
    "federation.strategy.betas", each: NumberRange(lower: 0, upper: 1, excludesUpper: true), count: 2...2,
    default: .derived("[0.9, 0.99] for `fedadam` and `fedyogi`; the others have none"), "β₁ and β₂ of the two.")
  static let tau = JobField<Double>.number(
    "federation.strategy.tau", NumberRange(lower: 0, upper: 1000, excludesLower: true),
    default: .derived("0.001 for `fedadagrad`, `fedadam` and `fedyogi`; the others have none"),
    "What is added to the root of the second moment. A small one amplifies what rounding leaves of entries near 0.")
  static let mu = JobField<Double>.number(
    "federation.strategy.mu", NumberRange(lower: 0, upper: 1_000_000, excludesLower: true),
    default: .derived("0.01 for `fedprox`; the others have none"),
    "The local loss gains μ/2 times the squared distance from the round's starting weights.")
  static let weighting = JobField<SiteWeighting>.choice(
    "federation.strategy.weighting", default: .derived("rows; equal with `privacy`"),
    "What a site's update counts in the mean: its training rows, or 1.")
}
