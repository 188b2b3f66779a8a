use super::*;

#[test]
fn configurations() {
    for (text, rule, wanted) in [
        ("", Rule::UndefinedVar, true),
        ("skip=all", Rule::UndefinedVar, false),
        ("skip=UndefinedVar, StageNameCasing", Rule::StageNameCasing, false),
        ("skip=undefinedvar", Rule::UndefinedVar, true),
        ("", Rule::InvalidDefinitionDescription, false),
        ("skip=all;experimental=all", Rule::InvalidDefinitionDescription, true),
        ("experimental=InvalidDefinitionDescription;error=true", Rule::InvalidDefinitionDescription, true),
    ] {
        assert_eq!(CheckConfig::parse(text).unwrap().wants(rule), wanted, "{text}");
    }
    assert!(CheckConfig::parse("error=true").unwrap().error);
    for bad in ["skip", "x=y", "error=maybe", ";"] {
        assert!(CheckConfig::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(
        CheckConfig::parse("nope").unwrap_err().to_string(),
        "failed to parse check options: invalid check option \"nope\""
    );
}

#[test]
fn pages() {
    for (rule, page) in [
        (Rule::JSONArgsRecommended, "json-args-recommended"),
        (Rule::FromAsCasing, "from-as-casing"),
        (Rule::SecretsUsedInArgOrEnv, "secrets-used-in-arg-or-env"),
    ] {
        assert_eq!(rule.url(), Some(format!("https://docs.docker.com/go/dockerfile/rule/{page}/")));
    }
    assert_eq!(Rule::InvalidBaseImagePlatform.url(), None);
}
