import Datasets
import Models
import Files
import Families
package import JobSpec
package import Masking
import Protocol

/// What `plan` shows: shapes, keys, traffic, and what the provider can see and learn.
package struct PlanReport: Sendable, Codable {
  package struct Parameter: Sendable, Codable {
    package var name: String
    package var shape: [Int]
  }

  package struct Traffic: Sendable, Codable {
    /// Each row once, when the trainer has room to keep it.
    package var rowBytesOnce: Int
    /// Every row again each epoch, when it has not.
    package var rowBytesEveryEpoch: Int
    /// Masked outputs from the trainer, over the run.
    package var outputBytes: Int
    /// Masked output gradients to the trainer, over the run.
    package var gradientBytes: Int
    /// Masked weights, one way.
    package var weightBytes: Int
  }

  package var job: ResolvedJob
  package var trainingRows: Int
  package var validationRows: Int
  package var steps: Int
  /// As the trainer holds them; the weight of the layer that reads the input is [W | b | 0_k] in homogeneous coordinates.
  package var parameters: [Parameter]
  package var parameterCount: Int
  package var spaces: [KeyPlanRow]
  package var traffic: Traffic
  /// What `train.precision` means for the result, in a sentence without a full stop.
  package var precision: String
  /// What the whole run spends; nil for a job without privacy.
  package var privacy: JobPrivacyReport?
  package var trainerSees: [String]
  /// Notices shown to the owner before anything is sent.
  package var notices: [String]

  package init(_ prepared: PreparedJob) {
    let description = prepared.description
    let shape = prepared.shape
    job = prepared.job
    trainingRows = description.trainingRows
    validationRows = description.validationRows
    steps = description.totalSteps
    parameters = shape.structure.parameters.map { Parameter(name: $0.name, shape: $0.shape) }
    parameterCount = parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    spaces = shape.keyPlan.rows
    let rows = description.totalTokens > 0 ? description.totalTokens : description.totalRows
    let outputRows = prepared.job.task.isPerToken ? description.totalTokens : description.totalRows
    let bytes = description.precision.narrowsValues ? 2 : 4
    let outputs =
      description.lossLocation == .owner ? description.epochs * outputRows * shape.data.outputs * bytes : 0
    let gradients =
      description.lossLocation == .owner
      ? outputs / max(1, description.totalRows) * description.trainingRows : 0
    traffic = Traffic(
      rowBytesOnce: rows * shape.inputWidth * bytes,
      rowBytesEveryEpoch: description.epochs * rows * shape.inputWidth * bytes,
      outputBytes: outputs, gradientBytes: gradients, weightBytes: parameterCount * 4)
    precision = description.precision.meaning
    privacy = prepared.privacy.map(JobPrivacyReport.init(planned:))
    trainerSees = Self.visible(prepared) + (prepared.privacy == nil ? [] : Self.visibleOfPrivacy)
    notices = SendingNotices.of(prepared)
  }

  private static let visibleOfPrivacy = [
    "how many rows each batch has, the norm of every row's gradient, and the noise: it draws it from a seed that you send"
  ]

  private static func visible(_ tokens: TokenInputs, noise: Double?) -> [String] {
    let vectors =
      noise == nil
      ? "the same vector wherever the same token stands at the same position"
      : "a vector with noise of its own for every token of every sample, the same again each epoch"
    var seen = [
      "the length of every sample, and \(vectors): with a public checkpoint, which has the same weights up to the keys, tokens can be "
        + "matched to its vocabulary\(noise == nil ? "" : " as far as the noise allows")"
    ]
    if !tokens.settings.shuffles { seen.append("the order of the tokens of every sample") }
    if tokens.model.settings.train != .all {
      seen.append("which weights are frozen: masked, and the same as the checkpoint's up to the keys")
    }
    let model = tokens.model
    if model.task == .causalLanguageModel, model.sizes.tiesWordEmbeddings {
      seen.append(
        "every token it is sent also as a row of the head, times the last norm's gain: as many pairs of both as the model is wide give "
          + "the residual's key away up to signs; use a checkpoint whose head is not tied")
    }
    return seen
  }

  private static func known(_ prepared: PreparedJob, _ noun: String) -> String {
    let count = prepared.shape.keyPlan.input.knownRowsToKey
    return count == 1 ? "a single \(noun) known in the clear" : "\(count) independent \(noun)s known in the clear"
  }

  private static func visible(_ prepared: PreparedJob) -> [String] {
    var seen = [
      "sizes, counts and timing: \(prepared.description.totalRows) rows, their number of features, every layer's width, the optimizer's settings"
    ]
    if prepared.job.masking.strength == .none {
      return ["everything: strength none sends rows, weights and outputs in the clear"] + seen
    }
    if case .tokens(let tokens) = prepared.source {
      seen.append(
        "all distances and angles between token vectors: a fixed mask is an isometry; with \(known(prepared, "token")) every token can be "
          + "worked out")
      seen.append("which samples form a batch, and that a sample comes back each epoch")
      seen += visible(tokens, noise: prepared.job.masking.noise)
    } else {
      seen.append(
        "all distances, angles and clusters between rows: a fixed mask is an isometry; with \(known(prepared, "row")), or non-Gaussian "
          + "features, the rows themselves can be worked out")
      if prepared.job.masking.noise != nil {
        seen.append("of all that, what the noise on every value leaves: each row with its noise, the same each epoch")
      }
      seen.append("which rows form a batch, and that a row comes back each epoch (its mask never changes)")
    }
    for row in prepared.shape.keyPlan.rows where row.group == .trivial {
      seen.append("the space \(row.space) in the clear")
    }
    for row in prepared.shape.keyPlan.rows where row.group == .permutation {
      seen.append("the values in the space \(row.space) up to their order (permutation: \(row.decidedBy))")
    }
    if prepared.job.task == .causalLanguageModel {
      seen.append(
        "the next token of every token as a number of a secret order of the vocabulary: a substitution cipher of the text, open to "
          + "counting how often each token occurs")
    } else if prepared.job.lossLocation == .trainer {
      seen.append("masked labels: how rows group by label, not which label")
    } else if prepared.job.task == .survival {
      seen.append(
        "each row's risk up to one sign for all, since one output has no other key, and output gradients, whose signs tell most rows with an "
          + "event from censored ones and whose sizes follow the order of their times")
    } else {
      seen.append("output gradients, from which rows cluster by label, not which label")
    }
    return seen
  }
}

extension TrainingPrecision {
  /// What it means for a masked run's result, in a sentence without a full stop.
  package var meaning: String {
    switch self {
    case .float32: "float32: the weights of plaintext float32 training, to rounding"
    case .bfloat16x3:
      "bfloat16x3: float32 whose products are made of bfloat16 parts that hold 16 bits, where the trainer's processor makes that faster (AMX); on "
        + "every other it is float32. The weights of plaintext float32 training, within 1e-4"
    case .bfloat16:
      "bfloat16: not the plaintext float32 run, and by how much `encryptor verify` measures: products of numbers of 8 bits, values "
        + "between layers kept so; weights and optimizer stay float32. Rows are rounded after they are masked, so that 0/1 rows are exact in "
        + "the clear and not under a rotation. Rows, outputs and gradients travel as bfloat16, half the bytes"
    }
  }
}

/// Notices that the owner must read before anything of the job is sent.
package enum SendingNotices {
  /// One sentence each, without a full stop; empty for most jobs.
  package static func of(_ prepared: PreparedJob) -> [String] {
    let delta = prepared.job.privacy?.deltaNotice(prepared.plan.trainingRows, "training rows")
    return of(prepared.job) + (delta.map { ["privacy: \($0)"] } ?? []) + (prepared.labels?.notices ?? [])
      + of(prepared.shape)
  }

  private static func of(_ shape: JobShape) -> [String] {
    guard shape.data.drawsPooler == true, let model = shape.pretrained else { return [] }
    return [
      "the checkpoint has no pooler, the dense layer that \(model.libraryClass ?? "its class") reads the first token through: one is drawn "
        + "and trained with the classifier, as that class does; model.head.pool: mean needs none"
    ]
  }

  private static func of(_ job: ResolvedJob) -> [String] {
    var notices: [String] = []
    if job.masking.baseModel == .public, job.masking.strength != .none {
      notices.append(
        "masking.base_model is public: a provider that has the checkpoint can work the residual key out from the masked weights, and with "
          + "it every token; masking then hides the text only from a provider that does not look")
    }
    if job.privacy != nil {
      notices.append(
        "privacy: the trainer adds the noise, from a seed that you draw and send, so that you can repeat it; that it does add it, and keeps the "
          + "seed to itself, you must trust it for. ε is of whoever sees the model; the provider sees the masked rows anyway. Losses and "
          + "validation metrics that are shown to you have no noise: what you tell of them is not covered")
    }
    if let sigma = job.masking.noise {
      notices.append(
        "masking.noise: every input value is sent with secret noise of deviation \(sigma), the same each time; training is exact for the "
          + "noised rows, not for the clean ones, and validation metrics are of noised rows")
    }
    return notices
  }
}

extension JobLabels {
  /// Texts that a missing label becomes when a table is written: pandas' and R's, and nothing at all.
  private static let namesOfMissing: Set<String> = ["", "nan", "none", "na", "n/a", "<na>", "null"]

  /// What of the classes is probably not meant, a sentence each without a full stop; none for labels that are no classes.
  package var notices: [String] {
    guard case .classes(let labels) = column else { return [] }
    var rows = [Int](repeating: 0, count: labels.classCount)
    for id in labels.ids { rows[Int(id)] += 1 }
    var notices: [String] = []
    let empty = rows.indices.filter { rows[$0] == 0 }
    if !empty.isEmpty {
      let ids = empty.prefix(8).map(String.init).joined(separator: ", ") + (empty.count > 8 ? ", …" : "")
      notices.append(
        "data.labels: \(empty.count) of \(labels.classCount) classes have no row (class \(ids)): the model has outputs for them, and nothing "
          + "to learn them from")
    }
    for (id, name) in (labels.names ?? []).enumerated()
    where rows[id] > 0 && Self.namesOfMissing.contains(name.lowercased()) {
      notices.append(
        "data.labels: \(rows[id]) rows have '\(name)' for a class, which is how a missing label is often written; it is trained on as a "
          + "class of its own: drop these rows if their label is missing")
    }
    return notices
  }
}
