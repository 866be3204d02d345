import Cryptography
import Models
import Foundation
import Masking
import Numerics
import Testing

/// Times, not verdicts: `MEASURE=1 swift test -c release -Xswiftc -enable-testing --filter MaskingTimings`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["MEASURE"] != nil))
struct MaskingTimings {
  private let compute = Compute(threads: ProcessInfo.processInfo.activeProcessorCount)

  private func keys<Element: FloatingElement>(
    _ type: Element.Type, features: Int, group: SymmetryGroup = .orthogonal, compute: Compute
  ) -> JobKeys<Element> {
    let layout = HomogeneousColumns(features: features, padding: 1)
    let input = KeyPlanRow(
      space: SpaceID("input"), width: layout.width, group: group, decidedBy: "test", homogeneous: layout)
    let output = KeyPlanRow(space: SpaceID("output"), width: 12, group: .orthogonal, decidedBy: "test")
    return JobKeys(
      master: MasterKey(), plan: KeyPlan(rows: [input, output], input: input, output: output),
      compute: compute)
  }

  private func report(_ name: String, repeats: Int = 5, _ body: () throws -> Void) rethrows {
    var wall: [Double] = []
    var processor: [Double] = []
    for _ in 0..<repeats {
      let (wallStart, processorStart) = (time(CLOCK_MONOTONIC), time(CLOCK_PROCESS_CPUTIME_ID))
      try body()
      wall.append(time(CLOCK_MONOTONIC) - wallStart)
      processor.append(time(CLOCK_PROCESS_CPUTIME_ID) - processorStart)
    }
    print(name, String(format: "best of %d: %.5f s, processor %.5f s", repeats, wall.min() ?? 0, processor.min() ?? 0))
  }

  private func time(_ clock: clockid_t) -> Double {
    var now = timespec()
    clock_gettime(clock, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
  }

  @Test func keystream() {
    let stream = KeyStream(secret: Array("seed".utf8), label: "timing")
    var sum: UInt64 = 0
    report("64 MiB of keystream words") { for _ in 0..<8 << 20 { sum &+= stream.nextWord() } }
    let numbers = UnsafeMutableBufferPointer<Double>.allocate(capacity: 2_101_250)
    defer { numbers.deallocate() }
    report("2.1 M Gaussians") { stream.fillGaussian(numbers) }
    report("permutation of 1 M") { sum &+= UInt64(stream.permutation(1 << 20)[0]) }
    #expect(sum != 0)
  }

  @Test(arguments: [769, 2050]) func expansion(width: Int) {
    for threads in [1, compute.workers.threads] {
      report("expansion in Float, n = \(width), \(threads) threads") {
        keys(Float.self, features: width - 2, compute: Compute(threads: threads)).expand()
      }
    }
    report("expansion in Double, n = \(width)") { keys(Double.self, features: width - 2, compute: compute).expand() }
  }

  @Test func inputs() throws {
    let keys = keys(Float.self, features: 2048, compute: compute)
    keys.expand()
    let stream = KeyStream(secret: Array("seed".utf8), label: "rows")
    let dense = Tensor<Float>((0..<8000 * 2048).map { _ in Float(stream.nextUniform()) }, shape: [8000, 2048])
    try report("dense 8000 x 2048") { _ = try keys.maskInputs(dense) }
    let small = Tensor<Float>((0..<64 * 2048).map { _ in Float(stream.nextUniform()) }, shape: [64, 2048])
    try report("dense 64 x 2048", repeats: 20) { _ = try keys.maskInputs(small) }
    let sparse = try SparseRows<Float>(
      columns: 2048, starts: (0...8000).map { $0 * 41 },
      indices: (0..<8000 * 41).map { _ in Int32(stream.nextInteger(below: 2048)) },
      values: Array(repeating: 1, count: 8000 * 41))
    try report("sparse 8000 x 2048, 41 ones a row") { _ = try keys.maskInputs(sparse) }
    let sparseSmall = try SparseRows<Float>(
      columns: 2048, starts: (0...64).map { $0 * 41 }, indices: Array(sparse.indices.prefix(64 * 41)),
      values: Array(repeating: 1, count: 64 * 41))
    try report("sparse 64 x 2048, 41 ones a row", repeats: 20) { _ = try keys.maskInputs(sparseSmall) }
    for group in [SymmetryGroup.permutation, .trivial] {
      let keys = self.keys(Float.self, features: 2048, group: group, compute: compute)
      keys.expand()
      try report("dense 8000 x 2048 under \(group)") { _ = try keys.maskInputs(dense) }
      try report("sparse 8000 x 2048 under \(group)") { _ = try keys.maskInputs(sparse) }
    }
    let outputs = Tensor<Float>(repeating: 1, shape: [16, 12])
    try report("unmask outputs 16 x 12, a thousand times") {
      for _ in 0..<1000 { _ = try keys.unmaskOutputs(outputs) }
    }
    let specification = ParameterSpecification(
      name: "w", shape: [12, 2050], rows: SpaceID("output"), columns: SpaceID("input"))
    let weight = Tensor<Float>(repeating: 1, shape: [12, 2050])
    try report("weight 12 x 2050") { _ = try keys.maskParameter(weight, specification) }
  }

  @Test func weights() throws {
    let layout = HomogeneousColumns(features: 2048, padding: 1)
    let input = KeyPlanRow(
      space: SpaceID("input"), width: 2050, group: .orthogonal, decidedBy: "test", homogeneous: layout)
    let hidden = KeyPlanRow(space: SpaceID("hidden"), width: 512, group: .permutation, decidedBy: "test")
    let keys = JobKeys<Float>(
      master: MasterKey(), plan: KeyPlan(rows: [input, hidden], input: input, output: hidden),
      compute: compute)
    keys.expand()
    let specification = ParameterSpecification(
      name: "w", shape: [512, 2050], rows: hidden.space, columns: input.space)
    let weight = Tensor<Float>(repeating: 1, shape: [512, 2050])
    try report("weight 512 x 2050") { _ = try keys.maskParameter(weight, specification) }
    try report("unmask weight 512 x 2050") { _ = try keys.unmaskParameter(weight, specification) }
  }

  private func space(
    _ name: String, _ width: Int, _ group: SymmetryGroup, heads: HeadsForm? = nil
  ) -> KeyPlanRow {
    KeyPlanRow(
      space: SpaceID(name), width: width, group: group, decidedBy: "test", form: heads.map { .heads($0) } ?? .whole)
  }

  private func keys(_ rows: [KeyPlanRow]) -> JobKeys<Float> {
    JobKeys(
      master: MasterKey(), plan: KeyPlan(rows: rows, input: rows[0], output: rows[rows.count - 1]),
      compute: compute)
  }

  @Test(arguments: [(384, SymmetryGroup.permutation), (768, .permutation), (2048, .orthogonal)])
  func tokens(width: Int, group: SymmetryGroup) throws {
    let keys = keys([space("residual", width, group)])
    keys.expand()
    let tokens = Tensor<Float>(repeating: 1, shape: [4096, width])
    try report("tokens 4096 x \(width) under \(group)") { _ = try keys.maskInputs(tokens) }
  }

  @Test func vocabulary() throws {
    let keys = keys([space("residual", 2048, .orthogonal), space("output", 32_000, .permutation)])
    keys.expand()
    let outputs = Tensor<Float>(repeating: 1, shape: [512, 32_000])
    try report("unmask outputs 512 x 32000") { _ = try keys.unmaskOutputs(outputs) }
    try report("mask gradient 512 x 32000") { _ = try keys.maskOutputGradient(outputs) }
    let ids = (0..<32_000).map(Int32.init)
    try report("mask 32000 class ids") { _ = try keys.maskClasses(ids) }
    let weight = Tensor<Float>(repeating: 1, shape: [32_000, 2048])
    let specification = ParameterSpecification(
      name: "w", shape: weight.shape, rows: SpaceID("output"), columns: SpaceID("residual"))
    try report("head 32000 x 2048", repeats: 2) { _ = try keys.maskParameter(weight, specification) }
  }

  @Test func heads() throws {
    func form(_ rotation: String, isRotary: Bool) -> HeadsForm {
      HeadsForm(
        attention: "layers.0.attention", rotation: rotation, heads: 32, groups: 4, headWidth: 64, isRotary: isRotary)
    }
    let rows = [
      space("residual", 2048, .orthogonal), space("query", 2048, .orthogonal, heads: form("qk", isRotary: true)),
      space("context", 2048, .orthogonal, heads: form("vo", isRotary: false)),
    ]
    let keys = keys(rows)
    keys.expand()
    report("expansion of 32 heads of 64 in 4 groups") { self.keys([rows[2]]).expand() }
    let weight = Tensor<Float>(repeating: 1, shape: [2048, 2048])
    for (name, rows, columns) in [("query", "query", "residual"), ("output", "residual", "context")] {
      let specification = ParameterSpecification(
        name: "w", shape: weight.shape, rows: SpaceID(rows), columns: SpaceID(columns))
      try report("\(name) weight 2048 x 2048", repeats: 3) { _ = try keys.maskParameter(weight, specification) }
    }
  }

  @Test func tokenOrders() {
    let orders = TokenOrder(master: MasterKey(), pass: 0)
    var sum = 0
    report("orders of 10000 samples of 128 tokens") {
      for sample in 0..<10_000 { sum += orders.order(sample: sample, tokens: 128)[0] }
    }
    #expect(sum > 0)
  }
}
