import Cryptography
import Models
import Numerics
import Testing

@testable import Masking

/// unmask(transformer(mask x)) = transformer(x), and the same for the gradient of every parameter and of the input, with the
/// backward pass written out (`GradientTape`).
///
/// Tolerance: a number of order 1 passes some forty products of at most 16 terms in each direction; with 2⁻⁵³ a term, everything
/// adding up at worst and the norms' division by deviations of order 1, 80 · 16 · 1.1e-16 · 5 ≈ 7e-13. Relative to the
/// largest entry: 1e-12. A broken rule is off by 1e-2 and more.
@Suite struct TransformerEquivarianceTests {
  private static let tolerance = 1e-12

  struct Case: Sendable, CustomTestStringConvertible {
    let fixture: TransformerFixture
    let strength: MaskingStrength
    let location: LossLocation

    var testDescription: String { "\(fixture.testDescription), \(strength), loss at \(location)" }

    static let fixtures = [TransformerFixture.bert, .llama, .llamaUngrouped, .llamaAdapted]
    static let all = fixtures.flatMap { fixture in
      MaskingStrength.allCases.flatMap { strength in
        LossLocation.allCases.map { Case(fixture: fixture, strength: strength, location: $0) }
      }
    }
  }

  /// Random parameters, tokens and output gradient of one fixture, the same in every test.
  private struct Setting {
    let fixture: TransformerFixture
    let parameters: [String: NaiveMatrix]
    let tokens: NaiveMatrix
    let outputGradient: NaiveMatrix

    init(_ fixture: TransformerFixture) {
      self.fixture = fixture
      let stream = KeyStream(secret: Array(fixture.testDescription.utf8), label: "network")
      parameters = Dictionary(
        uniqueKeysWithValues: fixture.parameters.map { specification in
          let columns = specification.shape.count > 1 ? specification.shape[1] : 1
          let matrix = gaussian(stream, specification.shape[0], columns)
          // Gains around 1; weights that keep numbers of order 1.
          let isGain = specification.name.contains("LayerNorm.weight")
          return (specification.name, matrix.map { isGain ? 1 + 0.3 * $0 : 0.4 * $0 })
        })
      tokens = gaussian(stream, TransformerFixture.tokens, TransformerFixture.width)
      let rows = fixture.parameters.contains { $0.name.hasPrefix("classifier") } ? 1 : TransformerFixture.tokens
      outputGradient = gaussian(stream, rows, TransformerFixture.outputs)
    }

    func plain(pooled: Int = 0) -> TransformerFixture.Pass {
      fixture.run(parameters, tokens, pooled: pooled, outputGradient: outputGradient)
    }

    /// The trainer's pass on masked numbers, with what it gives unmasked.
    ///
    /// - Parameter order: the position in the sample of each token that is sent.
    func masked(_ keys: JobKeys<Double>, order: [Int]? = nil) throws -> TransformerFixture.Pass {
      let order = order ?? Array(0..<tokens.rows)
      let sent = NaiveMatrix(rows: tokens.rows, columns: tokens.columns) { tokens[order[$0], $1] }
      var maskedParameters: [String: NaiveMatrix] = [:]
      for specification in fixture.parameters {
        guard let parameter = parameters[specification.name] else { continue }
        let tensor = Tensor(parameter.elements, shape: specification.shape)
        maskedParameters[specification.name] = NaiveMatrix(try keys.maskParameter(tensor, specification))
      }
      let pass = fixture.run(
        maskedParameters, NaiveMatrix(try keys.maskInputs(sent.tensor)), pooled: order.firstIndex(of: 0) ?? 0,
        outputGradient: NaiveMatrix(try keys.maskOutputGradient(outputGradient.tensor)))
      var gradients: [String: NaiveMatrix] = [:]
      for specification in fixture.parameters {
        guard let gradient = pass.gradients[specification.name] else { continue }
        let tensor = Tensor(gradient.elements, shape: specification.shape)
        gradients[specification.name] = NaiveMatrix(try keys.unmaskParameter(tensor, specification))
      }
      let inputGradient = NaiveMatrix(try keys.unmaskInputs(pass.inputGradient.tensor))
      return TransformerFixture.Pass(
        outputs: NaiveMatrix(try keys.unmaskOutputs(pass.outputs.tensor)),
        inputGradient: NaiveMatrix(rows: tokens.rows, columns: tokens.columns) { row, column in
          inputGradient[order.firstIndex(of: row) ?? row, column]
        }, gradients: gradients)
    }
  }

  private func keys(_ plan: KeyPlan, seed: Int = 0) -> JobKeys<Double> {
    JobKeys(master: .fixed(seed: seed), plan: plan, compute: Compute(threads: 1))
  }

  private func expectEqual(
    _ masked: TransformerFixture.Pass, _ plain: TransformerFixture.Pass,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(plain.outputs.relativeDistance(to: masked.outputs) < Self.tolerance, sourceLocation: sourceLocation)
    #expect(
      plain.inputGradient.relativeDistance(to: masked.inputGradient) < Self.tolerance, sourceLocation: sourceLocation)
    #expect(masked.gradients.count == plain.gradients.count, sourceLocation: sourceLocation)
    let largest = plain.gradients.values.flatMap(\.elements).map(abs).max() ?? 0
    for (name, gradient) in plain.gradients {
      guard let other = masked.gradients[name] else { continue }
      if name.hasSuffix("key.bias") {
        // It moves all scores of a query alike, which softmax does not notice: both gradients are zero.
        let rounding = (gradient.elements + other.elements).map(abs).max() ?? 0
        #expect(rounding < Self.tolerance * largest, "\(name)", sourceLocation: sourceLocation)
      } else {
        #expect(gradient.relativeDistance(to: other) < Self.tolerance, "\(name)", sourceLocation: sourceLocation)
      }
    }
  }

  @Test(arguments: Case.all) func outputsAndGradientsUnmaskToThoseOfThePlainTransformer(_ job: Case) throws {
    let setting = Setting(job.fixture)
    let plan = try job.fixture.plan(job.strength, location: job.location)
    expectEqual(try setting.masked(keys(plan)), setting.plain())
  }

  /// Signed permutations within heads, of rotary heads quarter turns: what a job with Adam could have at most.
  @Test(arguments: Case.fixtures) func signedPermutationsOfHeadsAreExact(_ fixture: TransformerFixture) throws {
    let more = fixture.structure().spaces.filter { $0.form != .whole }.map {
      SpaceConstraint(space: $0.id, largest: .signedPermutation, reason: "test")
    }
    let plan = try fixture.plan(.rotation, more: more)
    #expect(plan.row(SpaceID("layers.0.query"))?.group == .signedPermutation)
    let setting = Setting(fixture)
    expectEqual(try setting.masked(keys(plan)), setting.plain())
  }

  /// One space of an attention layer in the clear keeps the heads of all four in their order, and the rest exact.
  @Test(arguments: Case.fixtures, ["query", "value", "context"])
  func anAttentionSpaceInTheClearIsExact(_ fixture: TransformerFixture, part: String) throws {
    let clear = SpaceConstraint(space: SpaceID("layers.1.\(part)"), largest: .trivial, reason: "test")
    for strength in [MaskingStrength.rotation, .permutation] {
      let plan = try fixture.plan(strength, more: [clear])
      let setting = Setting(fixture)
      expectEqual(try setting.masked(keys(plan)), setting.plain())
    }
  }

  /// An encoder without rotary positions gives the same for its tokens in any order, when the pooled one's place is told.
  @Test(arguments: [MaskingStrength.rotation, .permutation])
  func tokensInASecretOrderAreExact(strength: MaskingStrength) throws {
    let setting = Setting(.bert)
    let keys = keys(try TransformerFixture.bert.plan(strength))
    let orders = TokenOrder(master: .fixed(seed: 0), pass: 0)
    for sample in 0..<3 {
      let order = orders.order(sample: sample, tokens: TransformerFixture.tokens)
      expectEqual(try setting.masked(keys, order: order), setting.plain())
    }
  }

  /// The tape's gradients are gradients: the fourth-order central difference with step h = 1e-4 along a random direction has
  /// an error of h⁴/30 · f⁽⁵⁾ ≈ 3e-18 · f⁽⁵⁾, with f⁽⁵⁾ up to 10⁷ in these networks, and a rounding of a few 1e-16 · |L| / h ≈
  /// 1e-10 for |L| ≈ 20, against directional derivatives that are mostly of order 1: 1e-8 leaves room.
  @Test(arguments: [TransformerFixture.bert, .llamaAdapted]) func theTapeAgreesWithFiniteDifferences(
    _ fixture: TransformerFixture
  ) throws {
    let setting = Setting(fixture)
    let plain = setting.plain()
    let stream = KeyStream(secret: Array("directions".utf8), label: fixture.testDescription)
    func loss(_ name: String, _ direction: NaiveMatrix, _ step: Double) -> Double {
      var parameters = setting.parameters
      parameters[name] = parameters[name]?.combined { $0 + step * direction[$1, $2] }
      let outputs = fixture.run(parameters, setting.tokens, outputGradient: setting.outputGradient).outputs
      return zip(outputs.elements, setting.outputGradient.elements).reduce(0) { $0 + $1.0 * $1.1 }
    }
    for (name, gradient) in plain.gradients.sorted(by: { $0.key < $1.key }) {
      let direction = gaussian(stream, gradient.rows, gradient.columns)
      let along = zip(gradient.elements, direction.elements).reduce(0) { $0 + $1.0 * $1.1 }
      func difference(_ step: Double) -> Double {
        (loss(name, direction, step) - loss(name, direction, -step)) / (2 * step)
      }
      let slope = (4 * difference(1e-4) - difference(2e-4)) / 3
      #expect(abs(along - slope) < 1e-8 * max(1, abs(along)), "\(name)")
    }
  }

  /// The negative controls: break one rule in the plan and nothing fits any more.
  struct BrokenRule: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let fixture: TransformerFixture
    let change: @Sendable (KeyPlanRow) -> (SymmetryGroup, SpaceForm)

    private static func changing(
      _ name: String, _ fixture: TransformerFixture, _ spaces: [String],
      _ change: @escaping @Sendable (HeadsForm) -> HeadsForm
    ) -> BrokenRule {
      BrokenRule(testDescription: name, fixture: fixture) { row in
        guard spaces.contains(row.space.name), case .heads(let form) = row.form else { return (row.group, row.form) }
        return (row.group, .heads(change(form)))
      }
    }

    private static func form(_ form: HeadsForm, attention: String? = nil, rotation: String? = nil, isRotary: Bool)
      -> HeadsForm
    {
      HeadsForm(
        attention: attention ?? form.attention, rotation: rotation ?? form.rotation, heads: form.heads,
        groups: form.groups, headWidth: form.headWidth, isRotary: isRotary)
    }

    static let all = [
      BrokenRule(testDescription: "an orthogonal key on a residual stream with gains", fixture: .bert) { row in
        (row.space.name == "residual" ? .orthogonal : row.group, row.form)
      },
      changing("a dense key on rotary queries and keys", .llama, ["layers.0.query", "layers.0.key"]) {
        form($0, isRotary: false)
      },
      changing("an order of its own for the heads of value and context", .bert, ["layers.0.value", "layers.0.context"])
      {
        form($0, attention: "another", isRotary: $0.isRotary)
      },
      changing("another key for keys than for queries", .bert, ["layers.0.key"]) {
        form($0, rotation: "another", isRotary: $0.isRotary)
      },
      changing("another key for the context than for values", .llama, ["layers.0.context"]) {
        form($0, rotation: "another", isRotary: $0.isRotary)
      },
      changing("an order of its own for the context's groups", .llama, ["layers.0.context"]) {
        HeadsForm(
          attention: $0.attention, rotation: $0.rotation, heads: $0.heads, groups: $0.heads,
          headWidth: $0.headWidth, isRotary: false)
      },
      BrokenRule(testDescription: "an order of its own for the gated product", fixture: .llama) { row in
        (row.group, row.space.name == "layers.0.up" ? .whole : row.form)
      },
    ]
  }

  @Test(arguments: BrokenRule.all) func aBrokenRuleShows(_ rule: BrokenRule) throws {
    let plan = try rule.fixture.plan(.rotation)
    let rows = plan.rows.map { row in
      let (group, form) = rule.change(row)
      return KeyPlanRow(space: row.space, width: row.width, group: group, decidedBy: row.decidedBy, form: form)
    }
    #expect(rows != plan.rows)
    let input = try #require(rows.first { $0.space == plan.input.space })
    let output = try #require(rows.first { $0.space == plan.output.space })
    let setting = Setting(rule.fixture)
    let plain = setting.plain()
    // A wrong order is by chance the right one for some masters: the worst of five must be off.
    var worst = (outputs: 0.0, gradients: 0.0)
    for seed in 0..<5 {
      let masked = try setting.masked(keys(KeyPlan(rows: rows, input: input, output: output), seed: seed))
      worst.outputs = max(worst.outputs, plain.outputs.relativeDistance(to: masked.outputs))
      worst.gradients = max(worst.gradients, plain.inputGradient.relativeDistance(to: masked.inputGradient))
    }
    #expect(worst.outputs > 0.01)
    #expect(worst.gradients > 0.01)
  }
}

/// Independent standard normal numbers.
private func gaussian(_ stream: KeyStream, _ rows: Int, _ columns: Int) -> NaiveMatrix {
  var values = [Double](repeating: 0, count: rows * columns)
  values.withUnsafeMutableBufferPointer { stream.fillGaussian($0) }
  return NaiveMatrix(rows: rows, columns: columns, values)
}
