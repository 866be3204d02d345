import Models
import Cryptography
import Foundations
import Numerics
import Testing

@testable import Masking

@Suite struct JobKeysTests {
  private func numbers<Element: FloatingElement>(_ shape: [Int], _ seed: String) -> Tensor<Element> {
    let stream = KeyStream(secret: Array(seed.utf8), label: "numbers")
    return Tensor((0..<shape.reduce(1, *)).map { _ in Element(stream.nextUniform() - 0.5) }, shape: shape)
  }

  private func fixedMaster(_ job: JobID) -> MasterKey {
    MasterKey(job: job, secret: Array(UInt8(0)..<32).withUnsafeBytes { SecretBuffer(copying: $0) })
  }

  private func isClose(_ left: Tensor<Double>, _ right: Tensor<Double>, _ tolerance: Double) -> Bool {
    left.shape == right.shape && NaiveMatrix(left).relativeDistance(to: NaiveMatrix(right)) < tolerance
  }

  /// T and δ: x' − δ is linear in x, δ is the image of 0, and every difference keeps its length (24 terms of rounding 1e-16,
  /// relative: 1e-13).
  @Test(arguments: [MaskingStrength.rotation, .permutation, .none])
  func inputsAreTurnedAndShifted(strength: MaskingStrength) throws {
    let keys = try MLPFixture(features: 20, padding: 3).keys(strength)
    let rows: Tensor<Double> = numbers([4, 20], "rows")
    let masked = try keys.maskInputs(rows)
    let shift = try keys.maskInputs(Tensor(zeros: [1, 20]))
    #expect(masked.shape == [4, 24])
    #expect(abs(shift.elements.reduce(0) { $0 + $1 * $1 } - 1) < 1e-13)
    let doubled = try keys.maskInputs(Tensor(rows.elements.map { 2 * $0 }, shape: [4, 20]))
    for row in 0..<4 {
      var (length, maskedLength) = (0.0, 0.0)
      for column in 0..<24 {
        let once = masked[row, column] - shift[0, column]
        #expect(abs(doubled[row, column] - shift[0, column] - 2 * once) < 1e-13)
        maskedLength += once * once
      }
      for column in 0..<20 { length += rows[row, column] * rows[row, column] }
      #expect(abs(length - maskedLength) < 1e-13 * length)
    }
    #expect(isClose(try keys.unmaskInputs(masked), rows, 1e-13))
  }

  @Test(arguments: MaskingStrength.allCases)
  func sparseRowsMaskAsDenseOnesDo(strength: MaskingStrength) throws {
    let keys = try MLPFixture(features: 90, padding: 1).keys(strength)
    let sparse = try sparseRows(count: 300, columns: 90)
    var dense = Tensor<Double>(zeros: [300, 90])
    for row in 0..<300 {
      for entry in sparse.starts[row]..<sparse.starts[row + 1] {
        dense[row, Int(sparse.indices[entry])] += sparse.values[entry]
      }
    }
    // Sums of at most 92 numbers below 1: 92 · 1.1e-16 · a few.
    #expect(isClose(try keys.maskInputs(dense), try keys.maskInputs(sparse), 1e-13))
  }

  /// Rows of 0 … 12 entries, some columns twice.
  private func sparseRows(count: Int, columns: Int) throws -> SparseRows<Double> {
    let stream = KeyStream(secret: Array("sparse".utf8), label: "numbers")
    var starts = [0]
    for row in 0..<count { starts.append(starts[row] + row % 13) }
    let entries = starts[count]
    return try SparseRows(
      columns: columns, starts: starts, indices: (0..<entries).map { _ in Int32(stream.nextInteger(below: columns)) },
      values: (0..<entries).map { _ in stream.nextUniform() })
  }

  /// 300 rows are enough for the key to be copied block by block, one is not.
  @Test(arguments: MaskingStrength.allCases)
  func aSparseRowHasTheSameBitsInAnyCompany(strength: MaskingStrength) throws {
    let keys = try MLPFixture(features: 90, padding: 1).keys(strength)
    let together = try sparseRows(count: 300, columns: 90)
    let masked = try keys.maskInputs(together)
    for row in [0, 1, 12, 150, 299] {
      let entries = together.starts[row]..<together.starts[row + 1]
      let alone = try SparseRows(
        columns: 90, starts: [0, entries.count], indices: Array(together.indices[entries]),
        values: Array(together.values[entries]))
      let width = masked.columns
      #expect(try keys.maskInputs(alone).elements == Array(masked.elements[row * width..<(row + 1) * width]))
    }
  }

  @Test func nothingDependsOnTheNumberOfThreads() throws {
    let fixture = MLPFixture(features: 1100, padding: 1, hidden: [8], outputs: 3)
    let master = MasterKey()
    let one = try fixture.keys(.rotation, master: master, threads: 1)
    let three = try fixture.keys(.rotation, master: master, threads: 3)
    let rows: Tensor<Double> = numbers([1200, 1100], "rows")
    #expect(try one.maskInputs(rows) == three.maskInputs(rows))
    let weight: Tensor<Double> = numbers(fixture.parameters[0].shape, "weight")
    let first = fixture.parameters[0]
    #expect(try one.maskParameter(weight, first) == three.maskParameter(weight, first))
    let sparse = try sparseRows(count: 300, columns: 1100)
    #expect(try one.maskInputs(sparse) == three.maskInputs(sparse))
  }

  @Test(arguments: [MaskingStrength.rotation, .permutation])
  func theMasksOfTwoJobsDiffer(strength: MaskingStrength) throws {
    let fixture = MLPFixture(features: 30)
    let rows: Tensor<Double> = numbers([1, 30], "rows")
    let (first, second) = (JobID.random(), JobID.random())
    // Even under one secret, because the job is part of every label.
    let masked = try [fixedMaster(first), fixedMaster(second), MasterKey(for: first), fixedMaster(first)].map {
      try fixture.keys(strength, master: $0).maskInputs(rows)
    }
    #expect(masked[0] != masked[1])
    #expect(masked[0] != masked[2])
    #expect(masked[0] == masked[3])
  }

  /// The order and signs computed with Python's `cryptography` from the bytes 0 … 31.
  @Test func theKeysOfAFixedMasterKeyNeverChange() throws {
    let job = try #require(JobID(hex: "00112233445566778899aabbccddeeff"))
    func keys(_ group: SymmetryGroup) -> JobKeys<Double> {
      let row = KeyPlanRow(space: SpaceID("hidden.0"), width: 12, group: group, decidedBy: "test")
      return JobKeys(
        master: fixedMaster(job), plan: KeyPlan(rows: [row], input: row, output: row), compute: Compute(threads: 1))
    }
    let values = Tensor((0..<12).map(Double.init), shape: [1, 12])
    let order: [Double] = [11, 5, 4, 9, 2, 0, 1, 7, 3, 10, 6, 8]
    #expect(try keys(.permutation).maskOutputGradient(values).elements == order)
    let signs: [Double] = [1, -1, 1, -1, -1, 1, 1, -1]
    let signed = try keys(.signedPermutation).maskOutputGradient(values).elements
    #expect(Array(signed.prefix(8)) == zip(order, signs).map { $0 * $1 })
  }

  /// Adam's state under a signed permutation: squares of masked gradients are the masked squares.
  @Test(arguments: [MaskingStrength.permutation, .rotation])
  func secondMomentsFollowTheSquares(strength: MaskingStrength) throws {
    // tanh under rotation: signed permutations on the hidden spaces, which the second weight lies between.
    let fixture = MLPFixture(hidden: [6, 4], activation: .tanh)
    let keys = try fixture.keys(strength)
    for specification in fixture.parameters[1...2] {
      let gradient: Tensor<Double> = numbers(specification.shape, specification.name)
      let moment = Tensor(gradient.elements.map { $0 * $0 }, shape: specification.shape)
      let masked = try keys.maskSecondMoment(moment, specification)
      #expect(masked.elements == (try keys.maskParameter(gradient, specification)).elements.map { $0 * $0 })
      #expect(try keys.unmaskSecondMoment(masked, specification) == moment)
    }
  }

  @Test func secondMomentsUnderARotationAreRefused() throws {
    let fixture = MLPFixture()
    let keys = try fixture.keys(.rotation)
    let moment = Tensor<Double>(zeros: fixture.parameters[0].shape)
    let error = #expect(throws: MaskingError.self) { try keys.maskSecondMoment(moment, fixture.parameters[0]) }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("input") == true)
  }

  @Test func maskedClassesPointAtTheirMaskedOutputs() throws {
    let keys = try MLPFixture(outputs: 7).keys(.rotation, location: .trainer)
    let masked = try keys.maskClasses(Array(0..<7))
    #expect(masked.sorted() == Array(0..<7))
    for label in 0..<7 {
      var logits = Tensor<Double>(zeros: [1, 7])
      logits[0, label] = 1
      #expect(try keys.maskOutputGradient(logits).elements.firstIndex(of: 1) == Int(masked[label]))
    }
  }

  @Test(arguments: [SymmetryGroup.permutation, .trivial])
  func negativeClassesStayAsTheyAre(group: SymmetryGroup) throws {
    let row = KeyPlanRow(space: SpaceID("output"), width: 5, group: group, decidedBy: "test")
    let keys = JobKeys<Float>(
      master: MasterKey(), plan: KeyPlan(rows: [row], input: row, output: row),
      compute: Compute(threads: 1))
    let masked = try keys.maskClasses([-1, 0, -100, 4, .min])
    #expect([masked[0], masked[2], masked[4]] == [-1, -100, .min])
    #expect(masked[1] >= 0 && masked[3] >= 0 && masked[1] != masked[3])
  }

  @Test(arguments: [Int32(3), 4, .max])
  func aClassOutOfRangeIsRefused(label: Int32) throws {
    let keys = try MLPFixture(outputs: 3).keys(.permutation, location: .trainer)
    let error = #expect(throws: MaskingError.classOutOfRange(classes: 3)) { try keys.maskClasses([0, label]) }
    #expect(error?.kind == .inputData)
  }

  @Test func classesUnderARotationAreRefused() throws {
    let keys = try MLPFixture().keys(.rotation, location: .owner)
    #expect(throws: MaskingError.self) { try keys.maskClasses([0]) }
  }

  @Test func missingTargetsStayMissingUnderAPermutation() throws {
    let keys = try MLPFixture(outputs: 4).keys(.permutation, location: .trainer, task: .multilabel)
    let targets = Tensor([0.0, .nan, 1, .nan, 1, 1, 0, 0], shape: [2, 4])
    let masked = try keys.maskTargets(targets)
    #expect(masked.elements.map(\.isNaN).filter { $0 }.count == 2)
    let back = try keys.unmaskOutputs(masked)
    for index in 0..<8 { #expect(back[index] == targets[index] || (back[index].isNaN && targets[index].isNaN)) }
  }

  @Test func regressionTargetsTurnAsTheOutputsDo() throws {
    let keys = try MLPFixture(outputs: 4).keys(.rotation, location: .trainer, task: .regression)
    let targets: Tensor<Double> = numbers([3, 4], "targets")
    let masked = try keys.maskTargets(targets)
    #expect(!isClose(masked, targets, 1e-3))
    // Two products of four terms.
    #expect(isClose(try keys.unmaskOutputs(masked), targets, 1e-14))
  }

  @Test func aMissingTargetUnderARotationIsRefused() throws {
    let keys = try MLPFixture(outputs: 2).keys(.rotation, location: .trainer, task: .regression)
    #expect(throws: MaskingError.missingTarget(space: SpaceID("output"))) {
      try keys.maskTargets(Tensor([0.5, .nan], shape: [1, 2]))
    }
  }

  @Test func tensorsOfAnotherShapeAreRefused() throws {
    let fixture = MLPFixture(features: 5, padding: 2)
    let keys = try fixture.keys(.rotation)
    let wrong = Tensor<Double>(zeros: [2, 6])
    #expect(throws: MaskingError.shape(what: "an input batch", expected: [2, 5], found: [2, 6])) {
      try keys.maskInputs(wrong)
    }
    let sparse = try SparseRows<Double>(columns: 6, starts: [0, 1], indices: [5], values: [1])
    #expect(throws: MaskingError.self) { try keys.maskInputs(sparse) }
    #expect(throws: MaskingError.self) { try keys.unmaskInputs(wrong) }
    #expect(throws: MaskingError.self) { try keys.unmaskOutputs(wrong) }
    #expect(throws: MaskingError.self) { try keys.maskOutputGradient(wrong) }
    #expect(throws: MaskingError.self) { try keys.maskTargets(wrong) }
    let error = #expect(throws: MaskingError.self) { try keys.maskParameter(wrong, fixture.parameters[0]) }
    #expect(error == .shape(what: "layers.0.weight", expected: [6, 8], found: [2, 6]))
    #expect(error?.kind == .inputData)
    #expect(throws: MaskingError.self) { try keys.maskParameters([wrong], fixture.parameters) }
  }

  @Test func aParameterOfAnUnknownSpaceIsRefused() throws {
    let keys = try MLPFixture().keys(.rotation)
    let specification = ParameterSpecification(name: "w", shape: [2], rows: SpaceID("pooled"), columns: nil)
    #expect(throws: MaskingError.unknownSpace(SpaceID("pooled"))) {
      try keys.maskParameter(Tensor(zeros: [2]), specification)
    }
  }

  @Test(arguments: [
    ([0, 2], [Int32(0)], [1.0]), ([1, 1], [0], [1]), ([], [], []), ([0, 1], [0], [1, 2]),
    ([0, 2, 1, 2], [0, 1], [1, 1]),
    ([0, 1], [4], [1]), ([0, 1], [-1], [1]),
  ]) func sparsePartsThatDoNotFitAreRefused(starts: [Int], indices: [Int32], values: [Double]) {
    #expect(throws: MaskingError.self) {
      try SparseRows(columns: 4, starts: starts, indices: indices, values: values)
    }
  }

  /// A job in Float: keys orthogonal to about 1e-6 (see `HaarExpansion`), parameters computed in Double and rounded to 24
  /// bits. Masked inputs times masked weights equal the plain product to the sum of both and of the product's own
  /// rounding, 1e-6 each, relative to the largest output; 5e-6 leaves room and is far below what a wrong key gives.
  @Test func aJobInFloatAgreesToSinglePrecision() throws {
    let fixture = MLPFixture(features: 300, padding: 1, hidden: [40], outputs: 3)
    let keys = JobKeys<Float>(
      master: MasterKey(), plan: try fixture.plan(.rotation), compute: Compute(threads: 2))
    let rows: Tensor<Float> = numbers([8, 300], "rows")
    let weight: Tensor<Float> = numbers([40, 302], "weight")
    let maskedRows = NaiveMatrix(Tensor(try keys.maskInputs(rows).elements.map(Double.init), shape: [8, 302]))
    let maskedWeight = try keys.maskParameter(weight, fixture.parameters[0])
    let product = NaiveMatrix(Tensor(maskedWeight.elements.map(Double.init), shape: [40, 302])) * maskedRows.transposed
    let homogeneous = NaiveMatrix(rows: 8, columns: 302) {
      $1 < 300 ? Double(rows[$0, $1]) : $1 == 300 ? 1 : 0
    }
    let plain = NaiveMatrix(rows: 40, columns: 302, weight.elements.map(Double.init)) * homogeneous.transposed
    let unmasked = try keys.unmaskParameter(maskedWeight, fixture.parameters[0])
    #expect(zip(unmasked.elements, weight.elements).allSatisfy { abs($0 - $1) < 5e-6 })
    // The hidden key permutes the product's rows.
    let sorted = { (matrix: NaiveMatrix) in
      (0..<8).map { column in (0..<40).map { matrix[$0, column] }.sorted() }.flatMap(\.self)
    }
    let scale = plain.elements.map(abs).max() ?? 1
    #expect(zip(sorted(plain), sorted(product)).allSatisfy { abs($0 - $1) < 5e-6 * scale })
  }

  /// What a job multiplies with is used for its rows and parameters, and never for its keys: with a library that gives half of every
  /// product, rows are half of what they are, and not half times what other keys would give.
  @Test func keysAreExpandedInFullWhateverTheJobMultipliesWith() throws {
    let row = KeyPlanRow(space: SpaceID("input"), width: 150, group: .orthogonal, decidedBy: "test")
    let plan = KeyPlan(rows: [row], input: row, output: row)
    func keys(_ library: any ProductLibrary) -> JobKeys<Float> {
      JobKeys(
        master: .fixed(seed: 3), plan: plan, compute: Compute(workers: Workers(threads: 2), library: library))
    }
    let rows: Tensor<Float> = numbers([20, 150], "rows")
    let (whole, half) = (try keys(OpenBLAS()).maskInputs(rows), try keys(Halving()).maskInputs(rows))
    #expect(half.elements == whole.elements.map { $0 / 2 })
    #expect(whole.elements.contains { $0 != 0 })
  }

  private struct Halving: ProductLibrary {
    func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) { half(product, precision) }
    func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) { half(product, precision) }

    private func half<Element: FloatingElement>(_ product: MatrixProduct<Element>, _ precision: ProductPrecision) {
      let term = product.term
      Element.multiply(
        MatrixProduct(
          ProductTerm(
            term.a, transposeA: term.transposeA, term.b, transposeB: term.transposeB, alpha: term.alpha / 2),
          accumulates: product.accumulates, into: product.c, adding: product.addition, then: product.epilogue),
        precision, with: OpenBLAS())
    }
  }

  /// A vocabulary's rows: moved whole, in pieces, without a change of bits, and back.
  @Test func wideOutputsUnderAPermutationKeepTheirBits() throws {
    let row = KeyPlanRow(space: SpaceID("output"), width: 70_001, group: .permutation, decidedBy: "test")
    func keys(_ threads: Int) -> JobKeys<Float> {
      JobKeys(
        master: .fixed(seed: 0), plan: KeyPlan(rows: [row], input: row, output: row), compute: Compute(threads: threads)
      )
    }
    let outputs: Tensor<Float> = numbers([3, 70_001], "outputs")
    let masked = try keys(1).maskOutputGradient(outputs)
    #expect(try keys(3).maskOutputGradient(outputs) == masked)
    #expect(try keys(3).unmaskOutputs(masked) == outputs)
    let places = try keys(1).maskClasses(Array(0..<70_001))
    for sample in [0, 1, 5000, 70_000] {
      for row in 0..<3 { #expect(masked[row, Int(places[sample])] == outputs[row, sample]) }
    }
    #expect(Set(places).count == 70_001)
  }

  /// Under a permutation the row of a token is the same in any batch.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation])
  func aTokenRowHasTheSameBitsInAnyCompany(group: SymmetryGroup) throws {
    let row = KeyPlanRow(space: SpaceID("residual"), width: 90, group: group, decidedBy: "test")
    let keys = JobKeys<Float>(
      master: .fixed(seed: 0), plan: KeyPlan(rows: [row], input: row, output: row), compute: Compute(threads: 2))
    let tokens: Tensor<Float> = numbers([2000, 90], "tokens")
    let masked = try keys.maskInputs(tokens)
    #expect(masked.shape == [2000, 90])
    for token in [0, 1, 727, 728, 1999] {
      #expect(try keys.maskInputs(tokens.slice(rows: token..<token + 1)) == masked.slice(rows: token..<token + 1))
    }
    #expect(try keys.unmaskInputs(masked) == tokens)
  }

  /// More numbers than are widened at a time: 4.5 million in rows of 64, the block's end after row 65,536. In Double, so that
  /// a row turned by itself equals the row of the whole to the order of summation, 64 · 2⁻⁵³ · a few.
  @Test func aVocabularysMatrixIsTurnedBlockByBlock() throws {
    let vocabulary = KeyPlanRow(space: SpaceID("output"), width: 70_000, group: .permutation, decidedBy: "test")
    let residual = KeyPlanRow(space: SpaceID("residual"), width: 64, group: .orthogonal, decidedBy: "test")
    let keys = JobKeys<Double>(
      master: .fixed(seed: 0), plan: KeyPlan(rows: [residual, vocabulary], input: residual, output: vocabulary),
      compute: Compute(threads: 2))
    let specification = ParameterSpecification(
      name: "lm_head.weight", shape: [70_000, 64], rows: vocabulary.space, columns: residual.space)
    let weight: Tensor<Double> = numbers([70_000, 64], "weight")
    let masked = try keys.maskParameter(weight, specification)
    let places = try keys.maskClasses([0, 1, 65_535, 65_536, 69_999])
    for (row, place) in zip([0, 1, 65_535, 65_536, 69_999], places.map(Int.init)) {
      let alone = try keys.maskInputs(weight.slice(rows: row..<row + 1))
      #expect(isClose(alone, masked.slice(rows: place..<place + 1), 1e-14))
    }
    #expect(isClose(weight, try keys.unmaskParameter(masked, specification), 1e-13))
  }

  @Test func oneSpaceIsExpandedOnceForAllThreads() async throws {
    let keys = try MLPFixture(features: 60).keys(.rotation)
    let rows: Tensor<Double> = numbers([3, 60], "rows")
    let results = try await withThrowingTaskGroup(of: Tensor<Double>.self) { group in
      for _ in 0..<8 { group.addTask { try keys.maskInputs(rows) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }
}
