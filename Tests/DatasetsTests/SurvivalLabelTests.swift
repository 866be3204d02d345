import Foundation
import TestSupport
import Testing

@testable import Datasets

@Suite struct SurvivalLabelTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func file(_ name: String = "data.h5", times: [Double], events: [Double]) throws -> HDF5File {
    let fixture = try FixtureFile(directory.file(name))
    try fixture.numbers("time", .float(bytes: 8), shape: [times.count], times)
    try fixture.numbers("event", .float(bytes: 4), shape: [events.count, 1], events)
    fixture.close()
    return try HDF5File(path: fixture.path)
  }

  @Test func timesKeepAllTheirDigits() throws {
    let times = [0, 1e9 + 0.125, 3]
    let labels = try file(times: times, events: [1, 0, 0]).readSurvival(time: "time", event: "event", rows: 3)
    #expect(labels == .survival(SurvivalLabels(times: times, events: [true, false, false])))
    #expect(labels.rows == 3)
  }

  @Test func eventsMayBeTruthValues() throws {
    let fixture = try FixtureFile(directory.file("flags.h5"))
    try fixture.numbers("time", .float(bytes: 4), shape: [3], [1, 2, 3])
    try fixture.integers("event", .boolean, values: [0, 1, 1])
    fixture.close()
    let labels = try HDF5File(path: fixture.path).readSurvival(time: "time", event: "event", rows: 3)
    #expect(labels == .survival(SurvivalLabels(times: [1, 2, 3], events: [false, true, true])))
  }

  @Test(
    arguments: [
      ([1, .nan, 3], [1, 0, 0], "row 1 is nan"), ([1, -2, 3], [1, 0, 0], "row 1 is -2"),
      ([1, 2, .infinity], [1, 0, 0], "row 2 is inf"), ([1, 2, 3], [1, 0, 2], "row 2 is 2"),
      ([1, 2, 3], [1, .nan, 0], "row 1 is nan"), ([1, 2, 3], [0, 0, 0], "no row has an event"),
    ] as [([Double], [Double], String)])
  func whatIsNoTimeOrEventIsNamed(_ times: [Double], _ events: [Double], _ text: String) throws {
    let file = try file(times: times, events: events)
    let error = try expectError(.invalidLabels) {
      _ = try file.readSurvival(time: "time", event: "event", rows: 3)
    }
    #expect(error.description.contains(text))
  }

  @Test func otherNumbersOfRowsAreRefused() throws {
    let file = try file(times: [1, 2, 3], events: [1, 0, 0])
    _ = try expectError(.rowCountMismatch) { _ = try file.readSurvival(time: "time", event: "event", rows: 4) }
    let short = try self.file("short.h5", times: [1, 2, 3], events: [1, 0])
    _ = try expectError(.rowCountMismatch) { _ = try short.readSurvival(time: "time", event: "event", rows: 3) }
  }
}
