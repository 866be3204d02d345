package import Models
package import Numerics

/// What a deployment's host holds beside what a trainer would: copies under other keys, questions that come again, and sessions of generation.
package struct DeploymentView: Sendable {
  /// The same model under another key of the deployment, in the order of the view's parameters: another client's copy, or the one before a
  /// rotation. Nil without.
  package let otherWeights: [Tensor<Float>]?
  /// T and δ of that other key, `[w, d]` or `[w, d + 1]`, as a client has it who is in league with the host. Nil without.
  package let leagueKey: Tensor<Double>?
  /// Asked after the view's inputs, under the same key; nil where none were.
  package let later: LaterQuestions?
  /// Nil for a model that generates nothing.
  package let generation: GenerationView?

  package init(
    otherWeights: [Tensor<Float>]?, leagueKey: Tensor<Double>?, later: LaterQuestions? = nil,
    generation: GenerationView? = nil
  ) {
    self.otherWeights = otherWeights
    self.leagueKey = leagueKey
    self.later = later
    self.generation = generation
  }
}

/// Masked questions, sample after sample.
package struct LaterQuestions: Sendable {
  /// `[n, w]`.
  package let inputs: Tensor<Float>
  /// Tokens of each sample; nil where a sample is one row.
  package let lengths: [Int32]?

  package init(inputs: Tensor<Float>, lengths: [Int32]?) {
    self.inputs = inputs
    self.lengths = lengths
  }
}

/// What sessions of generation leave at the host: of each step the masked logits, and the masked token that the client sends next.
package struct GenerationView: Sendable {
  /// Of the last token before a generated one, `[n, vocabulary]`.
  package let logits: Tensor<Float>
  /// The token that was chosen by them, as it comes in to be extended by, `[n, w]`.
  package let tokens: Tensor<Float>
  /// What the outputs' key is drawn from.
  package let outputGroup: SymmetryGroup

  package init(logits: Tensor<Float>, tokens: Tensor<Float>, outputGroup: SymmetryGroup) {
    self.logits = logits
    self.tokens = tokens
    self.outputGroup = outputGroup
  }
}

/// The truth behind a `DeploymentView`.
package struct DeploymentTruth: Sendable {
  /// Of each later question the sample of the view that it repeats, −1 for one that was not asked before.
  package let repeats: [Int]
  /// Tokens of each sample of the view; nil where a sample is one row.
  package let lengths: [Int32]?
  /// Of each step of generation the number of the chosen token among the masked outputs.
  package let chosen: [Int32]

  package init(repeats: [Int] = [], lengths: [Int32]? = nil, chosen: [Int32] = []) {
    self.repeats = repeats
    self.lengths = lengths
    self.chosen = chosen
  }
}
