import Models
import Foundations
import Foundation
import Masking
import Testing

@Suite struct KeyResolverTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let strength: MaskingStrength
    let activation: Activation
    let optimizer: OptimizerDescription.Kind
    let location: LossLocation
    let task: LearningTask
    let labelsMissing: Bool

    var testDescription: String {
      "\(strength) \(activation) \(optimizer) \(location) \(task) \(labelsMissing ? "labels missing" : "all labels")"
    }

    static let all: [Case] = MaskingStrength.allCases.flatMap { strength in
      Activation.allCases.flatMap { activation in
        OptimizerDescription.Kind.allCases.flatMap { optimizer in
          LossLocation.allCases.flatMap { location in
            LearningTask.allCases.flatMap { task in
              [false, true].map {
                Case(
                  strength: strength, activation: activation, optimizer: optimizer, location: location, task: task,
                  labelsMissing: $0)
              }
            }
          }
        }
      }
    }

    /// Some rules allow less than rotations, and only these strengths ask for one anywhere.
    var isRefused: Bool { !commutesWithRotations && (strength == .rotation || strength == .inputOnly) }

    private var commutesWithRotations: Bool {
      switch optimizer {
      case .sgd, .muon: true
      case .adamw: false
      }
    }

    var input: SymmetryGroup {
      switch strength {
      case .rotation, .inputOnly: .orthogonal
      case .permutation: .permutation
      case .none: .trivial
      }
    }

    var hidden: SymmetryGroup {
      switch (strength, activation) {
      case (.rotation, .tanh): .signedPermutation
      case (.rotation, _), (.permutation, _): .permutation
      case (.inputOnly, _), (.none, _): .trivial
      }
    }

    var output: SymmetryGroup {
      switch (strength, location, task, labelsMissing) {
      case (.inputOnly, _, _, _), (.none, _, _, _), (_, .trainer, .survival, _): .trivial
      case (.permutation, _, _, _): .permutation
      case (.rotation, .owner, _, _), (.rotation, .trainer, .regression, false): .orthogonal
      case (.rotation, .trainer, _, _): .permutation
      }
    }
  }

  @Test(arguments: Case.all) func everySpaceGetsTheLargestExactGroup(_ job: Case) throws {
    let fixture = MLPFixture(activation: job.activation)
    func plan(exact: Bool) throws -> KeyPlan {
      try fixture.plan(
        job.strength, optimizer: job.optimizer, exact: exact, location: job.location, task: job.task,
        labelsMissing: job.labelsMissing)
    }
    // Without exactness the optimizer is no constraint; with it, it refuses or changes nothing.
    let plan = try plan(exact: false)
    #expect(plan.rows.map(\.space.name) == ["input", "hidden.0", "hidden.1", "output"])
    #expect(plan.rows.map(\.width) == [8, 6, 4, 3])
    #expect(plan.rows.map(\.group) == [job.input, job.hidden, job.hidden, job.output])
    #expect(plan.input == plan.rows[0])
    #expect(plan.output == plan.rows[3])
    #expect(plan.input.homogeneous == fixture.layout)
    if job.isRefused {
      #expect(
        throws: MaskingError.notExact(optimizer: job.optimizer, largest: .signedPermutation, strength: job.strength)
      ) {
        try fixture.plan(
          job.strength, optimizer: job.optimizer, exact: true, location: job.location, task: job.task,
          labelsMissing: job.labelsMissing)
      }
    } else {
      #expect(
        try fixture.plan(
          job.strength, optimizer: job.optimizer, exact: true, location: job.location, task: job.task,
          labelsMissing: job.labelsMissing) == plan)
    }
  }

  @Test func theDecidingOperationIsNamed() throws {
    let relu = MLPFixture(activation: .relu)
    #expect(
      try relu.plan(.rotation).rows.map(\.decidedBy) == [
        "masking.strength: rotation", "relu after layers.0", "relu after layers.1", "loss at the owner",
      ])
    #expect(
      try relu.plan(.rotation, location: .trainer).output.decidedBy == "softmax cross-entropy at the trainer")
    #expect(
      try relu.plan(.permutation).rows.map(\.decidedBy) == [
        "masking.strength: permutation", "relu after layers.0", "relu after layers.1", "masking.strength: permutation",
      ])
    #expect(
      try relu.plan(.permutation, location: .trainer, task: .multilabel).output.decidedBy
        == "binary cross-entropy at the trainer")
    #expect(
      try relu.plan(.rotation, location: .trainer, task: .regression, labelsMissing: true).output.decidedBy
        == "squared error with missing labels at the trainer")
    #expect(Set(try relu.plan(.none).rows.map(\.decidedBy)) == ["masking.strength: none"])
    // tanh allows signs, which a permutation job does not ask for.
    #expect(try MLPFixture(activation: .tanh).plan(.permutation).rows[1].decidedBy == "masking.strength: permutation")
    #expect(
      try relu.plan(.inputOnly).rows.map(\.decidedBy)
        == ["masking.strength: input-only"] + Array(repeating: "masking.strength: input-only", count: 3))
  }

  @Test func aRefusalSaysWhatToChange() throws {
    let error = #expect(throws: MaskingError.self) { try MLPFixture().plan(.rotation, optimizer: .adamw) }
    #expect(error?.kind == .usage)
    for part in ["adamw", "masking.strength: permutation", "sgd", "muon", "masking.exact: false"] {
      #expect(error?.description.contains(part) == true, "\(part)")
    }
  }

  @Test func aLossOnASpaceTheModelDoesNotHaveIsRefused() {
    let fixture = MLPFixture()
    #expect(throws: MaskingError.unknownSpace(SpaceID("pooled"))) {
      try KeyResolver.resolve(
        structure: fixture.structure, masking: MaskingDescription(strength: .rotation, padding: 2, exact: true),
        optimizer: OptimizerDescription(
          kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
        lossConstraint: SpaceConstraint(space: SpaceID("pooled"), largest: .orthogonal, reason: "loss at the owner"))
    }
  }

  @Test func theTableReadsWellAsJSONAndComesBack() throws {
    let plan = try MLPFixture().plan(.rotation)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let json = String(decoding: try encoder.encode(plan.rows[0]), as: UTF8.self)
    #expect(
      json
        == #"{"decidedBy":"masking.strength: rotation","group":"orthogonal","homogeneous":{"features":5,"padding":2},"#
        + #""space":"input","width":8}"#)
    #expect(try JSONDecoder().decode(KeyPlan.self, from: encoder.encode(plan)) == plan)
  }
}
