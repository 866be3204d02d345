import Datasets
import Testing
import TestSupport

@testable import OwnerRole

/// What is said of classes that are probably not meant.
@Suite(.waiting) struct LabelNoticeTests {
  private func notices(_ ids: [Int32], names: [String]?, classes: Int? = nil) -> [String] {
    JobLabels(.classes(ClassLabels(ids: ids, classCount: names?.count ?? classes ?? 0, names: names))).notices
  }

  @Test func classesWithoutRowsAreSaid() throws {
    let notices = notices([0, 3, 3], names: nil, classes: 5)
    #expect(notices.count == 1)
    #expect(try #require(notices.first).contains("3 of 5 classes have no row (class 1, 2, 4)"))
  }

  @Test(arguments: ["", "nan", "NaN", "None", "NA", "<NA>"])
  func namesOfMissingLabelsAreSaid(_ name: String) throws {
    let notices = notices([0, 1, 2, 0], names: [name, "a", "b"])
    #expect(notices.count == 1)
    #expect(try #require(notices.first).contains("2 rows have '\(name)' for a class"))
  }

  @Test func otherClassesAreNot() {
    #expect(notices([0, 1, 1], names: ["Nancy", "banana"]).isEmpty)
    #expect(notices([0, 1, 1], names: nil, classes: 2).isEmpty)
  }
}
