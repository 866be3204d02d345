import Models

/// Every key a job may hold: the one place that states paths, types, ranges, defaults and meanings.
enum JobFields {
  static let name = JobField<String>.text(
    "name", .identifier(maximum: 64), default: .required, "The job's name, also at the trainer.")
  static let trainer = JobField<String>.text(
    "trainer", .endpoint, default: .value("tcp://127.0.0.1:5570"), "The trainer's address.")

  static let file = JobField<String>.text(
    "data.file", .text(maximum: 4096), default: .required,
    "The HDF5 file. In a job, relative to the job's own file; on the command line, to the working directory.")
  static let features = JobField<String>.text(
    "data.features", .text(maximum: 1024), default: .derived("required for `model.mlp`"),
    "The N×d feature matrix in the file: a numeric dataset, an AnnData CSR group, or a field: obs[column].")
  static let tokens = JobField<String>.text(
    "data.tokens", .text(maximum: 1024), default: .derived("required for `model.huggingface`"),
    "The N×L token ids in the file, integers.")
  static let mask = JobField<String>.text(
    "data.mask", .text(maximum: 1024), default: .derived("only with `tokens`; without it every token counts"),
    "N×L integers beside the tokens: 1 for a token, 0 for padding.")
  static let types = JobField<String>.text(
    "data.types", .text(maximum: 1024), default: .derived("only with `tokens`; without it all are 0"),
    "N×L integers beside the tokens: the segment of each token.")
  static let labels = JobField<String>.text(
    "data.labels", .text(maximum: 1024), default: .derived("required, except for `causal-lm` and `survival`"),
    "The labels in the file: numbers (NaN is missing), strings, AnnData categories or a nullable column. For "
      + "`token-classification` N×L class ids, for `causal-lm` N×L token ids to learn instead of the tokens themselves; "
      + "negative where a token does not count.")
  static let time = JobField<String>.text(
    "data.time", .text(maximum: 1024), default: .derived("required for `task: survival`"),
    "Numbers in the file: the time of each row to its event, or until when it was seen without one (censored).")
  static let event = JobField<String>.text(
    "data.event", .text(maximum: 1024), default: .derived("required for `task: survival`"),
    "Numbers or truth values in the file: 1 where the event came at `data.time`, 0 where the row is censored.")
  static let validation = JobField<Double>.number(
    "data.split.validation", NumberRange(lower: 0, upper: 1, excludesUpper: true), default: .value(0.2),
    "Share of the rows held out for validation, drawn with `data.split.seed`.")
  static let splitSeed = JobField<Int>.integer(
    "data.split.seed", 0...4_294_967_295, default: .value(0), "Seed of the random split; used with `validation`.")
  static let splitBy = JobField<String>.text(
    "data.split.by", .text(maximum: 1024), default: .derived("only with `modulo` and `equals`"),
    "A column of integers, the groups: rows with the same value stay on one side of the split.")
  static let modulo = JobField<Int>.integer(
    "data.split.modulo", 2...1_000_000, default: .derived("only with `by` and `equals`"),
    "Groups are taken modulo this number.")
  static let equals = JobField<Int>.integer(
    "data.split.equals", 0...999_999, default: .derived("only with `by` and `modulo`"),
    "The remainder whose groups are held out; below `modulo`.")
  static let validationRows = JobField<String>.text(
    "data.split.validation_rows", .text(maximum: 1024), default: .derived("none; instead of a random split"),
    "A dataset in the file that lists the validation row numbers.")
  static let standardize = JobField<Bool>.boolean(
    "data.standardize", default: .value(false),
    "Subtract each column's mean and divide by its standard deviation, both taken over the training rows.")

  static let task = JobField<LearningTask>.choice(
    "task", default: .required, "What is learned; decides the loss and the metrics.")

  static let hidden = JobField<[Int]>.integers(
    "model.mlp.hidden", each: 1...1_048_576, count: 0...64, default: .derived("required for `model.mlp`"),
    "Widths of the hidden layers, first to last; an empty list is a linear model.")
  static let activation = JobField<Activation>.choice(
    "model.mlp.activation", default: .value(.relu), "The function between layers.")

  static let huggingFace = JobField<String>.text(
    "model.huggingface", .text(maximum: 4096), default: .derived("none; instead of `model.mlp`"),
    "A directory with config.json and model.safetensors of a pretrained model. In a job, relative to the job's own "
      + "file; on the command line, to the working directory.")
  static let pool = JobField<TokenPooling>.choice(
    "model.head.pool", among: [.cls, .mean, .last], default: .derived("cls for an encoder, last for a decoder"),
    "Which tokens the head reads: the first (through the pooler of its class, drawn where the checkpoint has none), the "
      + "average of all, or the last.")
  static let classes = JobField<Int>.integer(
    "model.head.classes", 1...1_000_000, default: .derived("counted in the labels"),
    "Number of classes or label columns.")
  static let trainedPart = JobField<TrainedPartKind>.choice(
    "model.train", default: .value(.all), "Which weights of a pretrained model are trained; embeddings never are.")
  static let rank = JobField<Int>.integer(
    "model.lora.rank", 1...4096, default: .value(8), "Rank of the adapters; with `model.train: lora`.")
  static let alpha = JobField<Double>.number(
    "model.lora.alpha", NumberRange(lower: 0, upper: 1_000_000, excludesLower: true), default: .value(16),
    "The adapters' part is multiplied by alpha / rank; with `model.train: lora`.")
  static let targets = JobField<[String]>.identifiers(
    "model.lora.targets", maximum: 128, count: 1...64, default: .derived("required for `model.train: lora`"),
    "Last parts of the names of the linear layers that get an adapter: [query, value].")

  static let strength = JobField<MaskingStrength>.choice(
    "masking.strength", default: .value(.rotation), "The largest group of keys to use; `none` trains in plaintext.")
  static let padding = JobField<Int>.integer(
    "masking.padding", 0...4096, default: .derived("1; none for `model.huggingface` or with `masking.adapter`"),
    "Zero columns appended to each row before masking; `model.huggingface` has none.")
  static let adapterWidth = JobField<Int>.integer(
    "masking.adapter.width", 1...1_048_576, default: .derived("no adapter"),
    "Outputs of a fresh secret Gaussian linear layer between the input and `model.mlp`, trained with the rest: its "
      + "masked weights do not reveal the input's key.")
  static let noise = JobField<Double>.number(
    "masking.noise.sigma", NumberRange(lower: 0, upper: 1000, excludesLower: true), default: .derived("no noise"),
    "Standard deviation of secret Gaussian noise added to every input value after standardisation and before masking, the same "
      + "each time a row is sent. Training is exact for the noised rows.")
  static let exact = JobField<Bool>.boolean(
    "masking.exact", default: .value(true), "Refuse a combination that would not equal plaintext training.")
  static let shuffleTokens = JobField<Bool>.boolean(
    "masking.shuffle_tokens", default: .derived("true for an encoder"),
    "Send the tokens of a sample in a fresh secret order; only where a model does not read their order.")
  static let baseModel = JobField<BaseModelVisibility>.choice(
    "masking.base_model", default: .derived("required for `model.huggingface` under rotation or permutation"),
    "Whether the trainer can have the pretrained weights in the clear. `public`: it can, and with them work out the "
      + "residual key from the masked weights and so every token; `private`: it cannot. Changes no result.")

  static let lossLocation = JobField<LossLocation>.choice(
    "loss.where", default: .value(.owner), "Which side computes the loss.")

  static let optimizer = JobField<OptimizerDescription.Kind>.choice(
    "optimizer.name", default: .value(.sgd), "The update rule.")
  static let learningRate = JobField<Double>.number(
    "optimizer.lr", NumberRange(lower: 0, upper: 1000, excludesLower: true), default: .required,
    "Peak learning rate.")
  static let momentum = JobField<Double>.number(
    "optimizer.momentum", NumberRange(lower: 0, upper: 1, excludesUpper: true),
    default: .derived(OptimizerNames.momenta), "Momentum; \(OptimizerNames.without) none.")
  static let nesterov = JobField<Bool>.boolean(
    "optimizer.nesterov", default: .value(false),
    "Nesterov's form of momentum; \(OptimizerNames.all { $0.nesterov == .setting }) only.")
  static let weightDecay = JobField<Double>.number(
    "optimizer.weight_decay", NumberRange(lower: 0, upper: 100), default: .value(0),
    "Weight decay, coupled for \(OptimizerNames.all { $0.weightDecay == .coupled }), "
      + "decoupled for \(OptimizerNames.all { $0.weightDecay == .decoupled }).")
  static let clipNorm = JobField<Double?>.numberOrNone(
    "optimizer.clip_norm", NumberRange(lower: 0, upper: 1_000_000, excludesLower: true), default: .value(nil),
    "Largest norm of all gradients together.")

  static let warmup = JobField<Double>.number(
    "schedule.warmup", NumberRange(lower: 0, upper: 1), default: .value(0),
    "Share of all steps over which the learning rate rises.")
  static let decay = JobField<ScheduleDescription.Decay>.choice(
    "schedule.decay", default: .value(.none), "How the learning rate falls after the warm-up.")

  static let epochs = JobField<Int>.integer(
    "train.epochs", 1...100_000, default: .value(1), "Passes over the training rows.")
  static let batch = JobField<Int>.integer(
    "train.batch", 1...1_048_576, default: .value(64), "Rows per batch.")
  static let accumulate = JobField<Int>.integer(
    "train.accumulate", 1...4096, default: .value(1),
    "Batches per optimizer step, which then has `batch` × `accumulate` rows.")
  static let microBatch = JobField<Int>.integer(
    "train.micro_batch", 1...1_048_576,
    default: .derived("the smaller of `batch` and 256, or 8 for `model.huggingface`; `batch` for `survival`"),
    "Rows per message: parts of a batch overlap in transit. At most `batch`; does not change the result. For `task: survival` it is "
      + "`batch`: the loss compares the rows of a batch with each other.")
  static let recompute = JobField<Bool>.boolean(
    "train.recompute", default: .value(false),
    "Keep only each block's input for the backward pass and compute the block again: less memory, more work.")
  static let precision = JobField<TrainingPrecision>.choice(
    "train.precision", default: .value(.float32),
    "Numbers that the trainer computes in. `bfloat16`: half the bytes of rows, outputs and gradients, products of rounded numbers; not "
      + "plaintext float32 training, and by how much `encryptor verify` measures. `bfloat16x3`: float32 by three bfloat16 products, where the processor makes that "
      + "faster (AMX), else float32.")
  static let seed = JobField<Int>.integer(
    "train.seed", 0...4_294_967_295, default: .value(1), "Seed of the starting weights and the order of rows.")
  static let keep = JobField<KeepPolicy>.choice(
    "train.keep", default: .value(.last),
    "Which weights are returned: the last, or those of the epoch with the best validation metric.")

  static let everySteps = JobField<Int>.integer(
    "checkpoint.every_steps", 1...1_000_000_000, default: .value(100), "Steps between checkpoints.")

  static let knownRowsMin = JobField<Int>.integer(
    "audit.gate.known_rows_min", 1...1_000_000_000, default: .derived("no bound"),
    "Smallest allowed number of known plaintext rows from which the attack reconstructs the others.")
  static let spectralRecoveryMax = share(
    "spectral_recovery_max", "Largest allowed share of columns found by spectral alignment.")
  static let sourceSeparationMax = share(
    "source_separation_max", "Largest allowed share of columns found by blind source separation.")
  static let linkageMax = share(
    "linkage_max",
    "Largest allowed share of candidate records recognized as being in the data, at 0.1 % false positives.")
  static let keyErrorMin = JobField<Double>.number(
    "audit.gate.key_error_min", NumberRange(lower: 0, upper: 2), default: .derived("no bound"),
    "Smallest allowed relative error of the key computed from the base weights.")
  static let tokenRecoveryMax = share("token_recovery_max", "Largest allowed share of tokens recovered.")
  static let labelInformationMax = share(
    "label_information_max", "Largest allowed adjusted mutual information between true and inferred labels.")
  static let matchingMax = share(
    "matching_max", "Largest allowed share of correct guesses which of two data sets was used; 0.5 is chance.")
  static let membershipMax = share(
    "membership_max", "Largest allowed share of training rows recognized from the model, at 0.1 % false positives.")
  static let repeatedQuestionsMax = share(
    "repeated_questions_max",
    "Of a deployment, held against `encryptor audit DEPLOYMENT` alone: largest allowed share of repeated questions that are linked to when they were asked first."
  )
  static let copiesErrorMin = JobField<Double>.number(
    "audit.gate.copies_error_min", NumberRange(lower: 0, upper: 2), default: .derived("no bound"),
    "Of a deployment, held against `encryptor audit DEPLOYMENT` alone: smallest allowed relative error of the questions that a host in league with one client opens. Not to be met where the first layer is as wide as the rows."
  )
  static let cacheMax = share(
    "cache_max",
    "Of a deployment, held against `encryptor audit DEPLOYMENT` alone: largest allowed share of the generated vocabulary whose masked tokens are linked to masked outputs."
  )

  private static func share(_ name: String, _ meaning: String) -> JobField<Double> {
    .number("audit.gate.\(name)", NumberRange(lower: 0, upper: 1), default: .derived("no bound"), meaning)
  }

  /// In the order of the interface; a key that is not listed here is unknown to the parser.
  static let all: [JobFieldDescription] = [
    name.description, trainer.description,
    file.description, features.description, tokens.description, mask.description, types.description,
    labels.description, time.description, event.description,
    validation.description, splitSeed.description, splitBy.description, modulo.description, equals.description,
    validationRows.description, standardize.description,
    task.description, hidden.description, activation.description,
    huggingFace.description, pool.description, classes.description, trainedPart.description,
    rank.description, alpha.description, targets.description,
    strength.description, padding.description, adapterWidth.description, noise.description, exact.description,
    shuffleTokens.description, baseModel.description,
    lossLocation.description,
    privacyUnit.description, privacyClip.description, epsilon.description, delta.description,
    optimizer.description, learningRate.description, momentum.description, nesterov.description,
    weightDecay.description, clipNorm.description,
    warmup.description, decay.description,
    epochs.description, batch.description, accumulate.description, microBatch.description, recompute.description,
    precision.description, seed.description, keep.description,
    everySteps.description,
    knownRowsMin.description, spectralRecoveryMax.description, sourceSeparationMax.description,
    linkageMax.description, keyErrorMin.description, tokenRecoveryMax.description, labelInformationMax.description,
    matchingMax.description, membershipMax.description,
    repeatedQuestionsMax.description, copiesErrorMin.description, cacheMax.description,
  ]
}

/// The word a job writes for `TrainedPart`; the settings of `lora` are keys of their own.
enum TrainedPartKind: String, Sendable, CaseIterable {
  case all
  case head
  case lora
}

/// Names of update rules in the descriptions of their settings.
private enum OptimizerNames {
  private static func kinds(_ belongs: (OptimizerTraits) -> Bool) -> [String] {
    OptimizerDescription.Kind.allCases.filter { belongs($0.traits) }.map(\.rawValue)
  }

  /// "muon and adamw".
  static func all(_ belongs: (OptimizerTraits) -> Bool) -> String {
    let names = kinds(belongs)
    return names.count < 2
      ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
  }

  /// "0.9 for sgd, 0.95 for muon".
  static var momenta: String {
    OptimizerDescription.Kind.allCases.compactMap { kind in
      kind.traits.momentum.map { "\($0) for \(kind.rawValue)" }
    }.joined(separator: ", ")
  }

  /// "adamw has".
  static var without: String {
    all { $0.momentum == nil } + (kinds { $0.momentum == nil }.count == 1 ? " has" : " have")
  }
}
