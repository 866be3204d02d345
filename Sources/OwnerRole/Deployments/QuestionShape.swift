import Datasets
package import JobSpec
package import Masking
package import Models

/// What a client must know of a deployed model to mask its questions and to unmask the answers: sizes, names, the groups of two keys. No
/// weight, and nothing of the layers between.
package struct QuestionShape: Codable, Sendable, Equatable {
  package let task: LearningTask
  /// Where the training data had its samples: where they are looked for in a question's file.
  package let inputs: JobInputs
  /// Columns of a row; 0 for tokens.
  package let features: Int
  /// Numbers of one output: classes, label columns, or entries of the vocabulary.
  package let outputs: Int
  /// In order of class id, where they have names.
  package let classes: [String]?
  /// In the order that the model takes them; nil where the training data had no names.
  package let columns: [String]?
  package let isStandardized: Bool
  package let masking: MaskingDescription
  /// The spaces of the input and of the output, with the groups that their keys are drawn from.
  package let input: KeyPlanRow
  package let output: KeyPlanRow
  /// Nil where samples are rows of features.
  package let tokens: TokenQuestionShape?
  /// That the host computes in, and questions and answers travel in; nil for float32.
  package var precision: TrainingPrecision?

  /// The two keys that a client expands.
  package var keyPlan: KeyPlan { KeyPlan(rows: [], input: input, output: output) }

  /// - Throws: `OwnerError.run` for sizes that contradict each other, as only a damaged file has them.
  package func check() throws(OwnerError) {
    let largest = 1 << 24
    // Before their sum is taken.
    let hasPossibleColumns =
      input.homogeneous.map { (1...largest).contains($0.features) && (0...largest).contains($0.padding) } ?? true
    guard hasPossibleColumns, masking.noise.map({ $0.isFinite && $0 >= 0 }) ?? true else { throw Self.contradiction }
    let isWhole = input.form == .whole && output.form == .whole
    let width = input.homogeneous.map { $0.width } ?? input.width
    let columnsOfInput = tokens == nil ? input.homogeneous?.features : input.width
    let sizes = [input.width, output.width, outputs]
    guard isWhole, sizes.allSatisfy({ (1...largest).contains($0) }), width == input.width, output.width == outputs,
      columnsOfInput == (tokens == nil ? features : input.width), (tokens == nil) == inputs.areFeatures,
      columns.map({ $0.count == features }) ?? true, tokens?.isPossible ?? true,
      input.group != .orthogonal || input.width <= 1 << 16,
      output.group != .orthogonal || output.width <= KeyResolver.widestOrthogonalOutput
    else { throw Self.contradiction }
  }

  private static var contradiction: OwnerError { .run("the description of the deployed model contradicts itself") }
}

/// What of a question's tokens a client checks, and how it packs them.
package struct TokenQuestionShape: Codable, Sendable, Equatable {
  /// Ids and types are below these; 0 types where the model has none.
  package let vocabulary: Int
  package let types: Int
  /// Columns of a file that a token may stand in.
  package let positions: Int
  /// Tokens of a sample, and of a text with its continuation, that the deployment takes.
  package let maximumTokens: Int
  package let requiresTrailingPadding: Bool
  package let requiresFirstToken: Bool
  package let poolsLast: Bool
  /// Whether the tokens of a sample go in a secret order.
  package let shuffles: Bool
  /// Of the norm over token vectors; nil where there is none.
  package let normEpsilon: Double?
  /// The id that the checkpoint pads with, if it names one.
  package let paddingToken: Int?
  /// Ids that end a text, as the checkpoint names them; empty where it names none.
  package let endTokens: [Int]
  /// The token that positions are counted without; nil where a token's position is its column.
  package var uncountedToken: Int32?

  /// Rows of the table of positions: the token that is not counted has one of its own.
  var positionRows: Int { positions + (uncountedToken == nil ? 0 : 1) }

  var limits: TokenLimits {
    TokenLimits(
      vocabulary: vocabulary, types: types, positions: positions, requiresTrailingPadding: requiresTrailingPadding,
      requiresFirstToken: requiresFirstToken, uncountedToken: uncountedToken)
  }

  func settings(_ task: LearningTask) -> TokenSettings {
    TokenSettings(task: task, poolsLast: poolsLast, shuffles: shuffles)
  }

  fileprivate var isPossible: Bool {
    (1...(1 << 24)).contains(vocabulary) && (0...(1 << 20)).contains(types) && (1...(1 << 24)).contains(positions)
      && (1...positions).contains(maximumTokens)
  }
}

extension JobInputs {
  var areFeatures: Bool {
    if case .features = self { return true }
    return false
  }
}
