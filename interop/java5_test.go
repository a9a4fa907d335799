package interop

import "testing"

func TestJava5_SendsAndConsumesInOrder(t *testing.T) { sendsAndConsumesInOrder(t, java5) }
func TestJava5_SendsInEveryMode(t *testing.T)        { sendsInEveryMode(t, java5) }
func TestJava5_FiltersByTag(t *testing.T)            { filtersByTag(t, java5) }
func TestJava5_FindsNewTopics(t *testing.T)          { findsNewTopics(t, java5) }
func TestJava5_RefusesUnknownTopics(t *testing.T)    { refusesUnknownTopics(t, java5) }
func TestJava5_PollsAndContinues(t *testing.T)       { pollsAndContinues(t, java5) }
func TestJava5_PollsFromAnyOffset(t *testing.T)      { pollsFromAnyOffset(t, java5) }
func TestJava5_PullsEachStatus(t *testing.T)         { pullsEachStatus(t, java5) }
func TestJava5_SharesAndRebalances(t *testing.T)     { sharesAndRebalances(t, java5) }
func TestJava5_StaysInOrder(t *testing.T)            { staysInOrder(t, java5) }
func TestJava5_Broadcasts(t *testing.T)              { broadcasts(t, java5) }
func TestJava5_ContinuesWhereItWas(t *testing.T)     { continuesWhereItWas(t, java5) }
func TestJava5_StartsWhereToldTo(t *testing.T)       { startsWhereToldTo(t, java5) }
func TestJava5_FindsMessages(t *testing.T)           { findsMessages(t, java5) }
func TestJava5_OutlivesRestarts(t *testing.T)        { outlivesRestarts(t, java5, false) }
func TestJava5_OutlivesKills(t *testing.T)           { outlivesRestarts(t, java5, true) }
func TestJava5_SpeaksCompactHeaders(t *testing.T)    { speaksCompactHeaders(t, java5) }
func TestJava5_SpeaksTLS(t *testing.T)               { speaksTLS(t, java5) }
func TestJava5_UsesSecondPort(t *testing.T)          { usesSecondPort(t, java5) }
func TestJava5_MeetsOverTwoNamesrvs(t *testing.T)    { meetsOverTwoNamesrvs(t, java5) }
func TestJava5_UnderApachesNamesrv(t *testing.T)     { underApachesNamesrv(t, java5, apache) }
func TestJava5_OverApachesBroker(t *testing.T)       { overApachesBroker(t, java5, apache) }
func TestJava5_MovesBetweenBrokers(t *testing.T)     { movesBetweenBrokers(t, java5) }
func TestJava5_ServesFromOneProcess(t *testing.T)    { servesFromOneProcess(t, java5) }
