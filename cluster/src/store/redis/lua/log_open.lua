-- Answers {'ok', epoch, head, first entry kept} or {'stale', highest version}.
local highest = enter()
if highest then return {'stale', highest} end
save()
return {'ok', epoch, head, first}
