import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing
import Training

@testable import OwnerRole

/// A client's command that is killed between its last two acts: its result is written, and what it kept beside that is not removed.
@Suite(.waiting, .timeLimit(.minutes(5))) struct FinishedOutputTests {
  /// A directory in which `name` and NAME.partial are as such a kill leaves them.
  private struct Left {
    let output: URL
    var partial: URL { output.deletingLastPathComponent().appending(path: output.lastPathComponent + ".partial") }

    /// Keeps another name of the file while the command is at work, so that what it removes stays.
    func keep() throws {
      try? FileManager.default.removeItem(at: kept)
      try FileManager.default.linkItem(at: partial, to: kept)
    }

    func putBack() throws {
      #expect(output.isThere && !partial.isThere)
      try FileManager.default.moveItem(at: kept, to: partial)
    }

    private var kept: URL { output.appendingPathExtension("kept") }
  }

  @Test func aQuery() throws {
    let fixture = try DeploymentFixture<Float>()
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    host.state.withLock { $0.rowsPerQuestion = 4 }
    let source = try fixture.source(
      try fixture.finishedRun(SmallJob().resolved(on: try SmallData(in: fixture.directory))))
    let deployment = try fixture.deployed(source)
    let data = try SmallData(in: fixture.directory, rows: 60, seed: 5).file
    let left = Left(output: fixture.directory.url("answers.h5"))
    var early = Data()
    try fixture.query(deployment, data, to: "answers.h5") { event in
      guard case .answered(let rows, _, _) = event else { return }
      do {
        if rows == 20 { early = try Data(contentsOf: left.partial) }
        if rows == 60 { try left.keep() }
      } catch { Issue.record(error) }
    }
    let answers = try Data(contentsOf: left.output)
    let asked = host.state.withLock(\.asked)
    try left.putBack()
    let whole = try Data(contentsOf: left.partial)

    let report = try fixture.prepared(deployment, data, to: "answers.h5").finishedBefore()
    #expect(report?.rows == 60 && report?.questions == 15 && report?.rowsAsked == 0 && report?.rowsSeen == nil)
    #expect(!left.partial.isThere)
    #expect(try Data(contentsOf: left.output) == answers)
    #expect(host.state.withLock(\.asked) == asked)
    // What is compared with it is gone.
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: fixture.directory.url("").path).allSatisfy {
        !$0.hasPrefix(".writing")
      })

    // The result alone is somebody's; so is another file beside answers, or one beside some of them.
    func refused(_ what: String) {
      let error = #expect(throws: OwnerError.self, "\(what)") {
        _ = try fixture.prepared(deployment, data, to: "answers.h5").finishedBefore()
      }
      #expect(error?.kind == .usage && error?.description.contains("is there already") == true, "\(what)")
    }
    refused("nothing beside it")
    #expect(!left.partial.isThere)
    try early.write(to: left.partial)
    refused("some answers beside it")
    #expect(try Data(contentsOf: left.partial) == early)
    try whole.write(to: left.partial)
    var other = answers
    other[other.count - 1] ^= 1
    for bytes in [other, answers.dropLast(), Data()] {
      try bytes.write(to: left.output)
      refused("another file of \(bytes.count) bytes")
      #expect(try Data(contentsOf: left.output) == bytes && Data(contentsOf: left.partial) == whole)
    }
    // Nothing is there yet.
    #expect(try fixture.prepared(deployment, data, to: "others.h5").finishedBefore() == nil)
  }

  @Test(arguments: [false, true]) func aGeneration(isDrawn: Bool) throws {
    let stage = try GenerationStage<Double>()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: isDrawn ? 1 : 0)
    let left = Left(output: stage.fixture.directory.url("texts.h5"))
    var early = Data()
    let made = try stage.generate(deployment, to: "texts.h5", sampling: sampling) { event in
      guard case .advanced(let texts, let all, let tokens) = event else { return }
      do {
        if tokens == 30 { early = try Data(contentsOf: left.partial) }
        if texts == all { try left.keep() }
      } catch { Issue.record(error) }
    }
    let texts = try Data(contentsOf: left.output)
    try left.putBack()
    let whole = try Data(contentsOf: left.partial)

    // The seed is in what is kept.
    func again() throws -> GenerationReport? {
      try stage.generation(deployment, to: "texts.h5", sampling: sampling, seed: nil).finishedBefore()
    }
    let report = try again()
    #expect(report?.tokens == made.tokens && report?.tokensGenerated == 0 && report?.rowsSeen == nil)
    #expect(report?.seed == (isDrawn ? 5 : nil))
    #expect(try !left.partial.isThere && Data(contentsOf: left.output) == texts)
    #expect(try stage.fixture.host(deployment).status().rows == made.rowsSeen)

    for (beside, output) in [(early, texts), (whole, texts.dropLast())] {
      try beside.write(to: left.partial)
      try output.write(to: left.output)
      let error = #expect(throws: OwnerError.self) { _ = try again() }
      #expect(error?.kind == .usage && error?.description.contains("is there already") == true)
      #expect(try Data(contentsOf: left.output) == output && Data(contentsOf: left.partial) == beside)
    }
  }
}
