package import Models
import Families
package import Datasets
package import JobSpec
package import Masking
package import Numerics
package import Training

/// A job with the sizes of its data: the model, its spaces and the key groups. Enough to unmask a result without the data.
package struct JobShape: Sendable {
  package let job: ResolvedJob
  package let data: DataShape
  package let graph: ModelGraph
  package let structure: ModelStructure
  package let keyPlan: KeyPlan
  /// The checkpoint that the job names, where it names one.
  package let pretrained: PretrainedModel?

  /// - Throws: `MaskingError` when the job would not be exact; `FileError`, `OwnerError` for a checkpoint that cannot be used.
  package init(job: ResolvedJob, data: DataShape) throws {
    let pretrained: PretrainedModel? =
      if case .huggingFace(let model) = job.model { try PretrainedModel(model, task: job.task) } else { nil }
    if let pretrained, let known = data.checkpoint, try pretrained.directory.fingerprint() != known {
      throw OwnerError.unfitData(
        "\(pretrained.settings.directory) holds other weights than when the run began; put the old checkpoint back")
    }
    try self.init(job: job, data: data, pretrained: pretrained)
  }

  init(job: ResolvedJob, data: DataShape, pretrained: PretrainedModel?) throws {
    self.job = job
    self.data = data
    self.pretrained = pretrained
    switch job.model {
    case .mlp(let hidden, let activation):
      graph = try .perceptron(
        input: HomogeneousColumns(features: data.features, padding: job.masking.padding),
        adapter: job.masking.adapterWidth, hidden: hidden, activation: activation, outputs: data.outputs)
    case .huggingFace:
      guard let pretrained else { throw OwnerError.unfitJob("the job names no checkpoint") }
      graph = try pretrained.graph(
        outputs: data.outputs, maximumTokens: data.maximumTokens ?? 1, recomputes: job.train.recompute,
        drawsPooler: data.drawsPooler == true)
    }
    structure = Model(graph).structure
    keyPlan = try KeyResolver.resolve(
      structure: structure, masking: job.masking, optimizer: job.optimizer,
      lossConstraint: LossRules.constraint(
        on: structure.output, task: job.task, location: job.lossLocation, labelsMissing: data.labelsMissing))
  }

  /// Width of an input row as it is sent: d + 1 + k for features, d for tokens.
  package var inputWidth: Int { structure.space(structure.input)?.width ?? 0 }

  /// The model's starting weights, drawn from `secret` or read from the checkpoint.
  package func startingWeights(secret: OrderSecret) -> any PlaintextWeights {
    let fresh = FreshWeights(structure.parameters, secret: secret)
    guard let pretrained else { return fresh }
    return PretrainedWeights(model: pretrained, fresh: fresh)
  }
}

/// What the sizes and keys of a job's model depend on in its data. Kept with a run, so that a result can be unmasked without the data.
package struct DataShape: Sendable, Equatable, Codable {
  /// Columns of a row of features; 0 for tokens.
  package var features: Int
  /// Tokens of the longest sample; nil for features.
  package var maximumTokens: Int?
  /// Classes or label columns; 1 for a survival, the risk.
  package var outputs: Int
  /// Names of the classes in order of class id, when the labels have names.
  package var classNames: [String]?
  /// Whether some labels are missing, which decides the output's key for loss at the trainer.
  package var labelsMissing: Bool
  /// Of the checkpoint that the job starts from: embeddings, frozen weights and folded gains are read from it again later.
  package var checkpoint: String?
  /// What the result names as its padding token where the checkpoint names none: the id that stands in the data's padding, if it ends no sample.
  package var paddingToken: Int?
  /// Whether a pooler was drawn because the checkpoint has none; nil of a run made before this was done.
  package var drawsPooler: Bool?

  package init(
    features: Int, maximumTokens: Int? = nil, outputs: Int, classNames: [String]?, labelsMissing: Bool,
    checkpoint: String? = nil, paddingToken: Int? = nil, drawsPooler: Bool? = nil
  ) {
    self.features = features
    self.maximumTokens = maximumTokens
    self.outputs = outputs
    self.classNames = classNames
    self.labelsMissing = labelsMissing
    self.checkpoint = checkpoint
    self.paddingToken = paddingToken
    self.drawsPooler = drawsPooler
  }
}

/// The labels of every row of the file, and how a batch's are looked up by slot.
package struct JobLabels: Sendable {
  package let column: LabelColumn
  /// Names of the classes in order of class id, when they have names.
  package let classNames: [String]?
  /// Widths of the model's output: classes, label columns, or the risk alone.
  package let outputs: Int
  package let hasMissing: Bool

  package init(_ column: LabelColumn) {
    self.column = column
    switch column {
    case .classes(let labels):
      classNames = labels.names
      outputs = labels.classCount
      hasMissing = false
    case .survival:
      classNames = nil
      outputs = 1
      hasMissing = false
    case .values(let values):
      classNames = nil
      outputs = values.columns
      hasMissing = values.withUnsafeBufferPointer { $0.contains(where: \.isNaN) }
    }
  }

  /// The targets of the rows in `slots`.
  package func targets<Element: FloatingElement>(_ slots: ArraySlice<Int32>, rowOfSlot: [Int32]) -> Targets<Element> {
    switch column {
    case .classes(let labels):
      return .classes(Self.ids(slots, of: labels.ids, rowOfSlot: rowOfSlot))
    case .survival(let labels):
      return .times(
        slots.map { slot in
          let row = Int(rowOfSlot[Int(slot)])
          return SurvivalTime(time: labels.times[row], isEvent: labels.events[row])
        })
    case .values(let values):
      var result = Tensor<Element>(uninitialized: [slots.count, outputs])
      result.withUnsafeMutableBufferPointer { destination in
        values.withUnsafeBufferPointer { source in
          for (position, slot) in slots.enumerated() {
            let row = Int(rowOfSlot[Int(slot)])
            for column in 0..<outputs {
              destination[position * outputs + column] = Element(source[row * outputs + column])
            }
          }
        }
      }
      return .values(result)
    }
  }

  /// Not generic, so that a batch of ids is a loop over memory.
  private static func ids(_ slots: ArraySlice<Int32>, of ids: [Int32], rowOfSlot: [Int32]) -> [Int32] {
    slots.map { ids[Int(rowOfSlot[Int($0)])] }
  }
}
